"""The local TencentDB's instances, signatures and refusals, asked by Tencent's own SDK, unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import RequestInternal

from tests.contract.tencentdb_place import REGION, Place, place, refused, shared
from tests.local_cloud.tencentdb import service
from tests.local_cloud.tencentdb.service import Call

__all__ = ["place", "shared"]


def changing(client: CommonClient, change: Callable[[RequestInternal], None]) -> CommonClient:
    """Let something happen to each request between its signing and its sending."""
    send = client.request.send_request

    def send_changed(request: RequestInternal) -> Any:
        change(request)
        return send(request)

    client.request.send_request = send_changed
    return client


def test_instances_are_listed_with_their_architecture_and_shards(place: Place) -> None:
    answer = place.call("DescribeInstances")
    assert answer["TotalCount"] == 2
    standard, cluster = answer["InstanceSet"]
    assert (standard["InstanceId"], standard["ProductType"], standard["RedisShardNum"]) == (
        place.sessions,
        "standalone",
        1,
    )
    assert (cluster["InstanceName"], cluster["ProductType"], cluster["RedisShardNum"]) == ("orders", "cluster", 2)
    assert (cluster["Status"], cluster["Engine"], cluster["Region"]) == (2, "Redis", REGION)
    assert cluster["Type"] == standard["Type"] + 1
    assert place.service.engines(place.orders)[1].command("CLUSTER INFO")["cluster_state"] == "ok"


def test_pages_of_instances_do_not_overlap_and_filters_narrow_them(place: Place) -> None:
    pages = [place.call("DescribeInstances", Limit=1, Offset=offset) for offset in (0, 1, 2)]
    assert [[each["InstanceName"] for each in page["InstanceSet"]] for page in pages] == [["sessions"], ["orders"], []]
    assert {page["TotalCount"] for page in pages} == {2}
    for filters in ({"InstanceId": place.orders}, {"InstanceIds": [place.orders]}, {"SearchKey": "orders"}):
        assert [each["InstanceName"] for each in place.call("DescribeInstances", **filters)["InstanceSet"]] == [
            "orders"
        ]
    place.service.set_status(place.orders, -2)
    assert place.call("DescribeInstances", Status=[-2])["TotalCount"] == 1
    place.service.set_status(place.orders, 2)


def test_an_instance_is_in_one_region_only(place: Place) -> None:
    assert place.call("DescribeInstances", "ap-shanghai", InstanceId=place.orders)["TotalCount"] == 0
    assert (
        place.refused("DescribeInstanceBackups", "ap-shanghai", InstanceId=place.orders)
        == "ResourceNotFound.InstanceNotExists"
    )
    assert place.refused("DescribeInstances", "moon-1") == "UnsupportedRegion"
    assert place.refused("DescribeInstances", "") == "MissingParameter"


def test_a_removed_instance_is_gone_with_its_backups_and_its_server(place: Place) -> None:
    instance_id = place.service.create_instance("brief", region="ap-tokyo")
    (engine,) = place.service.engines(instance_id)
    place.service.take_backup(instance_id)
    place.service.remove_instance(instance_id)
    assert engine.process_id is None
    assert place.call("DescribeInstances", "ap-tokyo")["TotalCount"] == 0
    assert place.call("DescribeInstanceBackups", "ap-tokyo")["TotalCount"] == 0


@pytest.mark.parametrize(
    "parameters, code",
    [
        ({"Limit": 1001}, "InvalidParameter.InvalidParameter"),
        ({"Limit": 0}, "InvalidParameter.InvalidParameter"),
        ({"Limit": 20, "Offset": 30}, "InvalidParameter.InvalidParameter"),
        ({"Offset": -20}, "InvalidParameter.InvalidParameter"),
        ({"Limit": "20"}, "InvalidParameter"),
        ({"Limit": True}, "InvalidParameter"),
        ({"Status": 2}, "InvalidParameter"),
        ({"InstanceIds": [7]}, "InvalidParameter"),
        ({"InstanceID": "crs-1"}, "UnknownParameter"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(place: Place, parameters: dict[str, Any], code: str) -> None:
    assert place.refused("DescribeInstances", **parameters) == code


def test_unknown_actions_versions_and_bodies_are_refused(place: Place) -> None:
    assert place.refused("DescribeEverything") == "InvalidAction"
    assert place.refused("DescribeTaskInfo") == "MissingParameter"
    client = place.client()
    client._apiVersion = "2017-01-01"
    assert refused(lambda: client.call_json("DescribeInstances", {})) == "NoSuchVersion"
    assert refused(lambda: place.client().call_json("DescribeInstances", [])) == "InvalidParameter"


@pytest.mark.parametrize(
    "secret_id, secret_key, code",
    [
        ("AKIDnobody", "local-cloud-secret-key", "AuthFailure.SecretIdNotFound"),
        ("AKIDlocalcloudaccount", "another-key", "AuthFailure.SignatureFailure"),
    ],
)
def test_a_wrong_key_is_refused(place: Place, secret_id: str, secret_key: str, code: str) -> None:
    client = place.client(credential=Credential(secret_id, secret_key))
    assert refused(lambda: client.call_json("DescribeInstances", {})) == code


def test_a_temporary_key_needs_its_token(place: Place) -> None:
    place.service.add_temporary_key("AKIDtemporary", "temporary-key", "token")
    good = place.client(credential=Credential("AKIDtemporary", "temporary-key", "token"))
    assert good.call_json("DescribeInstances", {})["Response"]["TotalCount"] == 2
    for token in (None, "another"):
        client = place.client(credential=Credential("AKIDtemporary", "temporary-key", token))
        assert refused(lambda client=client: client.call_json("DescribeInstances", {})) == "AuthFailure.TokenFailure"


def set_header(name: str, value: str) -> Callable[[RequestInternal], None]:
    return lambda request: request.header.update({name: value})


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda request: setattr(request, "data", '{"Limit": 5}'), "AuthFailure.SignatureFailure"),
        (set_header("Content-Type", "application/json; charset=utf-8"), "AuthFailure.SignatureFailure"),
        (set_header("Authorization", "TC3-HMAC-SHA256 nonsense"), "AuthFailure.InvalidAuthorization"),
        (lambda request: request.header.pop("Authorization"), "AuthFailure.InvalidAuthorization"),
        (
            lambda request: set_header("Authorization", request.header["Authorization"].replace("/redis/", "/cdb/"))(
                request
            ),
            "AuthFailure.InvalidAuthorization",
        ),
        (lambda request: request.header.pop("X-TC-Timestamp"), "MissingParameter"),
        (
            lambda request: set_header("X-TC-Timestamp", str(int(request.header["X-TC-Timestamp"]) + 1))(request),
            "AuthFailure.SignatureFailure",
        ),
    ],
)
def test_what_is_changed_after_signing_is_refused(
    place: Place, change: Callable[[RequestInternal], None], code: str
) -> None:
    client = changing(place.client(), change)
    assert refused(lambda: client.call_json("DescribeInstances", {"Limit": 20})) == code


@pytest.mark.parametrize("minutes, accepted", [(4, True), (-4, True), (6, False), (-6, False)])
def test_clocks_may_differ_by_five_minutes(place: Place, minutes: int, accepted: bool) -> None:
    place.service.skew_clock(timedelta(minutes=minutes))
    if accepted:
        assert place.call("DescribeInstances")["TotalCount"] == 2
    else:
        assert place.refused("DescribeInstances") == "AuthFailure.SignatureExpire"


def test_errors_come_in_bodies_of_answers_with_status_200(place: Place) -> None:
    answer = requests.post(f"http://{place.service.endpoint}/", json={}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    response = json.loads(answer.content)["Response"]
    assert set(response) == {"Error", "RequestId"}
    assert set(response["Error"]) == {"Code", "Message"}
    assert json.loads(requests.get(f"http://{place.service.endpoint}/", timeout=10).content)["Response"]["Error"][
        "Code"
    ] == ("UnsupportedProtocol")


def test_a_refused_action_is_refused_so_often_or_until_it_is_allowed(place: Place) -> None:
    place.service.refuse("DescribeBackupUrl")
    wanted = {"InstanceId": place.orders, "BackupId": "1-2-3"}
    for _ in range(2):
        assert place.refused("DescribeBackupUrl", **wanted) == "UnauthorizedOperation.NoCAMAuthed"
    place.service.allow("DescribeBackupUrl")
    place.service.refuse("DescribeBackupUrl", "InternalError", times=1)
    assert place.refused("DescribeBackupUrl", **wanted) == "InternalError"
    assert place.refused("DescribeBackupUrl", **wanted) == "InvalidParameterValue.BackupNotExists"
    assert place.service.calls[-1] == Call("DescribeBackupUrl", REGION, "InvalidParameterValue.BackupNotExists")


def test_more_requests_than_the_rate_are_refused_for_that_action(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # All within the same second, however slow the machine is.
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: 1.0))
    place.service.limit_rate(1)
    place.call("DescribeInstances")
    assert place.refused("DescribeInstances") == "RequestLimitExceeded"
    place.call("DescribeBackupDownloadRestriction")
    place.service.limit_rate(None)
    place.call("DescribeInstances")
