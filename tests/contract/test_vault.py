"""What every vault keeps, in memory and in S3."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from botocore.config import Config

from rdbkeeper.domain.catalog import Level, manifest_key
from rdbkeeper.domain.errors import ObjectExists, StoreMismatch, UploadGone, VaultRefused, VaultUnavailable
from rdbkeeper.ports import Part, StoredObject, Upload, Vault
from rdbkeeper.rdb.checksum import crc64_nvme
from rdbkeeper.vaults.s3 import S3Vault
from tests.fakes.rdb_files import rdb_file
from tests.fakes.vault import MemoryVault
from tests.local_cloud.server import LocalCloud

MEBIBYTE = 1 << 20
LARGE = rdb_file(11 * MEBIBYTE)
_buckets = count(1)


@pytest.fixture(params=["memory", "s3"])
def vault(request: pytest.FixtureRequest) -> Iterator[Vault]:
    if request.param == "memory":
        yield MemoryVault()
        return
    cloud: LocalCloud = request.getfixturevalue("cloud")
    bucket = f"vault-{next(_buckets)}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    yield S3Vault(lambda: cloud.client("s3"), bucket)


def put(vault: Vault, key: str, data: bytes, part_bytes: int = 5 * MEBIBYTE) -> tuple[Upload, list[Part]]:
    upload = vault.open_upload(key)
    pieces = [data[start : start + part_bytes] for start in range(0, len(data), part_bytes)]
    parts = [
        vault.put_part(upload, number, memoryview(piece), crc64_nvme(piece))
        for number, piece in enumerate(pieces, start=1)
    ]
    return upload, parts


def store(vault: Vault, key: str, data: bytes) -> StoredObject:
    upload, parts = put(vault, key, data)
    vault.complete_upload(upload, parts, len(data), crc64_nvme(data))
    found = vault.find_object(key)
    assert found is not None
    return found


def read(vault: Vault, key: str, etag: str, first_byte: int, length_bytes: int) -> bytes:
    buffer = bytearray(length_bytes)
    stream = vault.open_range(key, etag, first_byte, length_bytes)
    filled = 0
    while filled < length_bytes and (got := stream.readinto(memoryview(buffer)[filled:])):
        filled += got
    stream.close()
    return bytes(buffer[:filled])


def test_an_upload_becomes_an_object_with_its_full_object_sum(vault: Vault) -> None:
    found = store(vault, "a/0001.rdb", LARGE)
    assert (found.size_bytes, found.crc64nvme) == (len(LARGE), crc64_nvme(LARGE))
    assert read(vault, "a/0001.rdb", found.etag, 0, len(LARGE)) == LARGE
    assert vault.find_uploads("a/0001.rdb") == []


def test_a_range_is_read_exactly_and_only_while_the_object_is_the_same(vault: Vault) -> None:
    found = store(vault, "a/0001.rdb", LARGE)
    assert read(vault, "a/0001.rdb", found.etag, 6_000_000, 10) == LARGE[6_000_000:6_000_010]
    with pytest.raises(StoreMismatch):
        read(vault, "a/0001.rdb", '"another"', 0, 10)


def test_nothing_is_visible_before_the_upload_is_complete(vault: Vault) -> None:
    upload, _ = put(vault, "a/0001.rdb", LARGE)
    assert vault.find_object("a/0001.rdb") is None
    assert vault.find_uploads("a/0001.rdb") == [upload]
    assert vault.find_uploads("a/") == vault.find_uploads("") == [upload]
    assert vault.find_uploads("a/0001.rdb.more") == vault.find_uploads("b") == []


def test_putting_a_part_again_puts_the_same_part(vault: Vault) -> None:
    piece = LARGE[: 5 * MEBIBYTE]
    upload = vault.open_upload("k")
    first = vault.put_part(upload, 1, memoryview(piece), crc64_nvme(piece))
    assert vault.put_part(upload, 1, memoryview(piece), crc64_nvme(piece)) == first


def test_a_part_that_was_changed_on_its_way_is_refused_and_may_be_put_again(vault: Vault) -> None:
    upload = vault.open_upload("k")
    with pytest.raises(VaultUnavailable):
        vault.put_part(upload, 1, memoryview(b"bytes"), crc64_nvme(b"other bytes"))


@pytest.mark.parametrize("wrong", ["length", "sum"])
def test_an_upload_whose_length_or_sum_does_not_agree_is_refused(vault: Vault, wrong: str) -> None:
    upload, parts = put(vault, "k", LARGE)
    length = len(LARGE) - (wrong == "length")
    total = crc64_nvme(LARGE) ^ (wrong == "sum")
    with pytest.raises((StoreMismatch, VaultRefused)):
        vault.complete_upload(upload, parts, length, total)
    assert vault.find_object("k") is None


def test_an_upload_with_a_part_that_was_not_put_is_refused(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE)
    wrong = [Part(parts[0].number, '"0123456789abcdef0123456789abcdef"', parts[0].crc64nvme), *parts[1:]]
    with pytest.raises(StoreMismatch):
        vault.complete_upload(upload, wrong, len(LARGE), crc64_nvme(LARGE))


def test_small_parts_before_the_last_are_refused(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE[: 3 * MEBIBYTE], part_bytes=MEBIBYTE)
    with pytest.raises(VaultRefused):
        vault.complete_upload(upload, parts, 3 * MEBIBYTE, crc64_nvme(LARGE[: 3 * MEBIBYTE]))


def test_completing_never_overwrites(vault: Vault) -> None:
    upload, parts = put(vault, "k", LARGE)
    vault.create_object("k", b"somebody else's", "text/plain")
    with pytest.raises(ObjectExists):
        vault.complete_upload(upload, parts, len(LARGE), crc64_nvme(LARGE))
    assert vault.read_object("k") == b"somebody else's"


def test_creating_never_overwrites(vault: Vault) -> None:
    vault.create_object("k", b"first", "text/plain")
    with pytest.raises(ObjectExists):
        vault.create_object("k", b"second", "text/plain")
    assert vault.read_object("k") == b"first"


def test_an_upload_that_was_given_up_is_gone(vault: Vault) -> None:
    upload, _ = put(vault, "k", LARGE)
    vault.abort_upload(upload)
    vault.abort_upload(upload)
    assert vault.find_uploads("k") == []
    with pytest.raises(UploadGone):
        vault.put_part(upload, 1, memoryview(b"x"), crc64_nvme(b"x"))
    with pytest.raises(UploadGone):
        vault.complete_upload(upload, [Part(1, '"x"', 0)], 1, 0)


def test_an_upload_belongs_to_its_key(vault: Vault) -> None:
    upload = vault.open_upload("k")
    with pytest.raises(UploadGone):
        vault.put_part(Upload("another", upload.upload_id), 1, memoryview(b"x"), crc64_nvme(b"x"))


def test_only_the_named_object_is_removed(vault: Vault) -> None:
    store(vault, "k1", LARGE)
    found = store(vault, "k", LARGE[:100])
    vault.remove_object("k", found.etag)
    vault.remove_object("k", found.etag)
    assert vault.find_object("k") is None
    assert vault.find_object("k1") is not None


def test_an_object_that_is_another_by_now_is_not_removed(vault: Vault) -> None:
    store(vault, "k", LARGE[:100])
    with pytest.raises(StoreMismatch):
        vault.remove_object("k", '"another"')
    assert vault.find_object("k") is not None


def test_the_catalog_is_read_from_the_names_of_the_manifests(vault: Vault) -> None:
    copies = [(f"20261122T0215{n:02d}Z-b.{n}", Level.UNCHECKED if n % 2 else Level.VERIFIED) for n in range(3)]
    for copy_id, level in copies:
        vault.create_object(manifest_key("p/orders/", copy_id, level), b"{}", "application/json")
    vault.create_object("p/orders/manifests/readme.txt", b"?", "text/plain")
    vault.create_object("p/orders2/manifests/x.verified.json", b"{}", "application/json")
    entries = vault.catalog("p/orders/").entries
    assert [(entry.copy_id, entry.level) for entry in entries] == copies


def test_a_catalog_of_several_pages_is_whole(cloud: LocalCloud) -> None:
    client = cloud.client("s3", config=Config(user_agent_extra="small-pages"))
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", _two_a_page)
    client.create_bucket(Bucket="many-copies")
    vault = S3Vault(lambda: client, "many-copies")
    names = [f"20261122T021500Z-backup-{n}" for n in range(5)]
    for name in names:
        vault.create_object(manifest_key("p/", name, Level.VERIFIED), b"{}", "application/json")
    assert [entry.copy_id for entry in vault.catalog("p/").entries] == names


def _two_a_page(params: dict[str, object], **_: object) -> dict[str, object]:
    return {**params, "MaxKeys": 2}


def test_what_is_not_there_is_not_found(vault: Vault) -> None:
    assert vault.find_object("nothing") is None
    with pytest.raises(VaultRefused):
        vault.read_object("nothing")
