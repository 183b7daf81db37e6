"""The local TencentDB with two instances, and Tencent's own SDK to ask it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from tests.local_cloud.tencentdb import TencentDB

REGION = "ap-guangzhou"
NIGHT = datetime(2026, 11, 20, 18, 15, tzinfo=UTC)  # in China it is the 21st, 02:15


@dataclass(frozen=True)
class Place:
    """The service, a standard instance and a cluster of two shards that all tests share."""

    service: TencentDB
    sessions: str
    orders: str

    def client(self, region: str = REGION, credential: Credential | None = None) -> CommonClient:
        credential = credential or Credential(self.service.secret_id, self.service.secret_key)
        profile = ClientProfile(httpProfile=HttpProfile(endpoint=self.service.endpoint, protocol="http"))
        return CommonClient("redis", "2018-04-12", credential, region, profile)

    def call(self, action: str, region: str = REGION, **parameters: Any) -> dict[str, Any]:
        return self.client(region).call_json(action, parameters)["Response"]

    def refused(self, action: str, region: str = REGION, **parameters: Any) -> str:
        return refused(lambda: self.client(region).call_json(action, parameters))

    def links(self, backup_id: str, instance_id: str = "", **parameters: Any) -> list[str]:
        wanted = {"InstanceId": instance_id or self.orders, "BackupId": backup_id, **parameters}
        return [info["DownloadUrl"] for info in self.call("DescribeBackupUrl", **wanted)["BackupInfos"]]


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(TencentCloudSDKException) as caught:
        call()
    assert caught.value.get_request_id()
    return str(caught.value.get_code())


def read(link: str, span: str = "", **headers: str) -> requests.Response:
    wanted = headers | ({"Range": f"bytes={span}"} if span else {})
    return requests.get(link, headers=wanted, timeout=60, allow_redirects=False)


def wait_for(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def shared() -> Iterator[Place]:
    with TencentDB(backup_delay_s=0.1) as service:
        yield Place(service, service.create_instance("sessions"), service.create_instance("orders", cluster_shards=2))


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    yield shared
    shared.service.restore()
    assert shared.service.problems == []
