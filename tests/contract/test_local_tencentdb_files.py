"""The local TencentDB's backup files: links that end, ranges, restrictions, and what can go wrong on the way."""

from __future__ import annotations

from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
import requests

from tests.contract.tencentdb_place import NIGHT, REGION, Place, place, read, shared
from tests.local_cloud.engines import load
from tests.local_cloud.tencentdb.file_server import Read

__all__ = ["place", "shared"]

EXPIRED = (403, "AccessDenied", "Request has expired")


@pytest.fixture
def backup(place: Place) -> str:
    for shard, engine in enumerate(place.service.engines(place.orders)):
        tag = next(tag for tag in ("a", "b", "c", "d", "e") if (engine.command("CLUSTER KEYSLOT", tag) > 8191) == shard)
        engine.command("SET", "{" + tag + "}text", Random(tag).randbytes(3000))
    return place.service.take_backup(place.orders, NIGHT)


def stored(place: Place, backup_id: str, shard: int = 1) -> bytes:
    return place.service.backup_files(backup_id)[shard - 1].read_bytes()


def error_of(answer: requests.Response) -> tuple[int, str, str]:
    def between(tag: str) -> str:
        return answer.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]

    assert answer.headers["Content-Type"] == "application/xml"
    return answer.status_code, between("Code"), between("Message")


def test_one_link_a_shard_leads_to_files_that_a_server_loads(place: Place, backup: str, tmp_path: Path) -> None:
    answer = place.call("DescribeBackupUrl", InstanceId=place.orders, BackupId=backup)
    assert len(answer["BackupInfos"]) == 2
    for shard, info in enumerate(answer["BackupInfos"], start=1):
        content = read(info["DownloadUrl"]).content
        assert content == stored(place, backup, shard)
        assert len(content) == info["FileSize"]
        assert urlsplit(info["DownloadUrl"]).netloc == place.service.file_host != place.service.endpoint
        assert urlsplit(info["InnerDownloadUrl"]).netloc != place.service.file_host
        (tmp_path / "copy.rdb").write_bytes(content)
        engine = load(tmp_path / "copy.rdb")
        try:
            assert engine.command("DBSIZE") == 1
        finally:
            engine.stop()
    assert answer["DownloadUrl"] == [info["DownloadUrl"] for info in answer["BackupInfos"]]
    assert answer["Filenames"] == [info["FileName"] for info in answer["BackupInfos"]]


def test_ranges_are_answered_exactly_and_etags_hold(place: Place, backup: str) -> None:
    link, whole = place.links(backup)[0], stored(place, backup)
    part = read(link, "5-8")
    assert (part.status_code, part.content) == (206, whole[5:9])
    assert part.headers["Content-Range"] == f"bytes 5-8/{len(whole)}"
    assert read(link, "100-").content == whole[100:]
    assert read(link, "-8").content == whole[-8:]
    assert read(link, f"100-{len(whole) + 50}").content == whole[100:]
    assert error_of(read(link, f"{len(whole)}-"))[:2] == (416, "InvalidRange")
    etag = part.headers["ETag"]
    assert read(link, **{"If-Match": etag}).headers["ETag"] == etag
    assert error_of(read(link, **{"If-Match": '"another"'}))[:2] == (412, "PreconditionFailed")


def test_a_link_is_good_for_one_file_one_method_and_as_it_is(place: Place, backup: str) -> None:
    first, second = place.links(backup)
    assert error_of(read(first.partition("?")[0])) == (403, "AccessDenied", "Access Denied.")
    moved = second.partition("?")[0] + "?" + first.partition("?")[2]
    assert error_of(read(moved))[1] == "SignatureDoesNotMatch"
    assert error_of(read(first[:-1] + ("0" if first[-1] != "0" else "1")))[1] == "SignatureDoesNotMatch"
    assert error_of(read(first.replace("AKIDlocalcloudfiles", "AKIDother")))[1] == "InvalidAccessKeyId"
    assert requests.head(first, timeout=10).status_code == 403
    assert read(first).status_code == 200


def test_a_link_that_is_made_to_live_longer_is_refused(place: Place, backup: str) -> None:
    place.service.set_link_life(0)
    (link, _) = place.links(backup)
    assert error_of(read(link)) == EXPIRED
    end = link.partition("q-key-time%3D")[2].partition("%26")[0].partition("%3B")[2]
    assert error_of(read(link.replace(end, str(int(end) + 3600))))[1] == "SignatureDoesNotMatch"


def test_a_link_ends_in_the_middle_of_a_file_and_a_new_one_goes_on(place: Place, backup: str) -> None:
    place.service.fault(backup, "expire", at=1000)
    old = place.links(backup)[0]
    assert read(old, "0-999").status_code == 206
    assert error_of(read(old, "1000-1999")) == EXPIRED
    assert error_of(read(old, "0-999")) == EXPIRED
    new = place.links(backup)[0]
    assert read(old, "1000-1999").status_code == 403
    assert read(new, "1000-1999").content == stored(place, backup)[1000:2000]


def test_a_backup_expires_while_it_is_read(place: Place, backup: str) -> None:
    place.service.fault(backup, "gone", at=1000)
    link = place.links(backup)[0]
    assert read(link, "0-999").status_code == 206
    assert error_of(read(link, "1000-1999"))[:2] == (404, "NoSuchKey")
    assert error_of(read(link, "0-999"))[:2] == (404, "NoSuchKey")
    assert (
        place.refused("DescribeBackupUrl", InstanceId=place.orders, BackupId=backup)
        == "ResourceUnavailable.BackupStatusInvalid"
    )


def test_an_error_page_comes_with_200(place: Place, backup: str) -> None:
    place.service.fault(backup, "error-page")
    answer = read(place.links(backup)[0], "0-99")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert read(place.links(backup)[1], "0-99").status_code == 206


def test_a_range_is_ignored(place: Place, backup: str) -> None:
    place.service.fault(backup, "ignore-range")
    answer = read(place.links(backup)[0], "5-8")
    assert (answer.status_code, answer.content) == (200, stored(place, backup))
    assert "Content-Range" not in answer.headers


def test_a_redirect_leads_to_a_private_address(place: Place, backup: str) -> None:
    place.service.fault(backup, "redirect", location="http://169.254.169.254/latest/")
    answer = read(place.links(backup)[0])
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://169.254.169.254/latest/")


def test_more_comes_than_was_declared(place: Place, backup: str) -> None:
    whole = stored(place, backup)
    place.service.fault(backup, "longer")
    answer = read(place.links(backup)[0])
    assert answer.content == whole + bytes(1000)
    assert read(place.links(backup)[0], "0-9").headers["Content-Range"] == f"bytes 0-9/{len(whole) + 1000}"
    place.service.repair(backup)
    place.service.fault(backup, "excess")
    answer = read(place.links(backup)[0], "0-9")
    assert (answer.headers["Content-Range"], answer.content) == (f"bytes 0-9/{len(whole)}", whole[: 10 + 64])


def test_a_connection_is_cut_once(place: Place, backup: str) -> None:
    link, whole = place.links(backup)[0], stored(place, backup)
    place.service.fault(backup, "cut", at=1500)
    assert read(link, "0-999").content == whole[:1000]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        read(link, "1000-1999")
    assert read(link, "1000-1999").content == whole[1000:2000]


def test_a_file_is_shorter_than_declared_or_holds_another_byte(place: Place, backup: str) -> None:
    link, whole = place.links(backup)[0], stored(place, backup)
    place.service.fault(backup, "short", at=100)
    assert read(link).content == whole[:100]
    assert read(link, "90-200").headers["Content-Range"] == "bytes 90-99/100"
    place.service.repair(backup)
    place.service.fault(backup, "flip", at=100)
    assert read(link).content == whole[:100] + bytes([whole[100] ^ 0xFF]) + whole[101:]
    assert read(link, "100-101").content[1:] == whole[101:102]
    assert read(link, "101-200").content == whole[101:201]


def test_a_file_is_replaced_while_it_is_read(place: Place, backup: str) -> None:
    place.service.fault(backup, "changed", at=1000)
    link = place.links(backup)[0]
    etag = read(link, "0-999").headers["ETag"]
    assert error_of(read(link, "1000-1999", **{"If-Match": etag}))[0] == 412
    assert read(link, "1000-1999").headers["ETag"] != etag


def test_a_busy_store_says_so_as_often_as_asked(place: Place, backup: str) -> None:
    place.service.fault(backup, "busy", times=2)
    link = place.links(backup)[0]
    statuses = [read(link, "0-9").status_code for _ in range(3)]
    assert statuses == [503, 503, 206]
    name = place.call("DescribeBackupUrl", InstanceId=place.orders, BackupId=backup)["Filenames"][0]
    assert place.service.reads[-3:] == [
        Read(name, "bytes=0-9", 503),
        Read(name, "bytes=0-9", 503),
        Read(name, "bytes=0-9", 206),
    ]


def test_a_size_can_be_unknown(place: Place, backup: str) -> None:
    place.service.hide_sizes(backup)
    infos = place.call("DescribeBackupUrl", InstanceId=place.orders, BackupId=backup)["BackupInfos"]
    assert [info["FileSize"] for info in infos] == [0, 0]
    assert read(infos[0]["DownloadUrl"]).content == stored(place, backup)


@pytest.mark.parametrize(
    "limit_type, ips, ips_allowed, status",
    [
        ("NoLimit", [], None, 200),
        ("LimitOnlyIntranet", [], None, 403),
        ("Customize", ["10.1.0.13"], True, 403),
        ("Customize", ["127.0.0.1"], True, 200),
        ("Customize", ["127.0.0.1"], False, 403),
        ("Customize", ["10.1.0.13"], False, 200),
        ("Customize", [], None, 403),
    ],
)
def test_a_restriction_decides_who_reads(
    place: Place, backup: str, limit_type: str, ips: list[str], ips_allowed: bool | None, status: int
) -> None:
    place.service.restrict_downloads(limit_type, region=REGION, ips=ips, ips_allowed=ips_allowed)
    told = place.call("DescribeBackupDownloadRestriction")
    symbol = {None: "", True: "In", False: "NotIn"}[ips_allowed]
    assert (told["LimitType"], told["LimitIp"], told["IpComparisonSymbol"]) == (limit_type, ips, symbol)
    answer = read(place.links(backup)[0])
    assert answer.status_code == status
    if status == 403:
        assert error_of(answer) == (403, "AccessDenied", "Access Denied.")


def test_a_restriction_holds_in_its_region_and_gives_way_to_a_links_own(place: Place, backup: str) -> None:
    place.service.restrict_downloads("LimitOnlyIntranet")
    assert place.call("DescribeBackupDownloadRestriction", "ap-shanghai")["LimitType"] == "NoLimit"
    assert read(place.links(backup, LimitType="NoLimit")[0]).status_code == 200
    assert read(place.links(backup)[0]).status_code == 403
    wanted = {"InstanceId": place.orders, "BackupId": backup}
    assert place.refused("DescribeBackupUrl", **wanted, LimitType="Some") == "InvalidParameter.InvalidParameter"


def test_no_link_is_logged(place: Place, backup: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="werkzeug")
    caplog.set_level("DEBUG", logger="tests")
    read(place.links(backup)[0])
    assert "q-signature" not in caplog.text
