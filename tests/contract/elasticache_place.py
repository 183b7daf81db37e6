"""The local ElastiCache behind a server of its own, with an S3 and a few instances."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.local_cloud.elasticache import ElastiCacheGuard
from tests.local_cloud.managed.bucket_policy import REQUIRED

REGION = "us-east-1"
REQUIRED_ACTIONS = [action for _, action, _ in REQUIRED]
PRINCIPAL = "us-east-1.elasticache-snapshot.amazonaws.com"
LONG_AGO = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """A guard behind its own server, with clients and instances that all tests share."""

    guard: ElastiCacheGuard
    cache: Any
    s3: Any
    client: Callable[[str], Any]


def make_client(service: str, url: str, region: str = REGION) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def never_forward(request: Request) -> Response:
    raise AssertionError(f"forwarded {request.get_data()!r}")


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    s3 = make_client("s3", f"http://{host}:{port}")
    guard = ElastiCacheGuard(REGION, lambda: s3, export_delay_s=0.2)

    @Request.application
    def application(request: Request) -> Response:
        return guard.handle(request, never_forward)

    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        cache = make_client("elasticache", url)
        make_instances(cache)
        make_bucket(s3, "exports")
        yield Place(guard, cache, s3, lambda region: make_client("elasticache", url, region))
    finally:
        guard.close()
        server.shutdown()
        thread.join()
        server.server_close()
        moto.stop()


def make_instances(cache: Any) -> None:
    cache.create_replication_group(
        ReplicationGroupId="Orders",
        ReplicationGroupDescription="two shards",
        NumNodeGroups=2,
        ReplicasPerNodeGroup=1,
        AutomaticFailoverEnabled=True,
        CacheNodeType="cache.t4g.small",
        EngineVersion="7.1",
        SnapshotRetentionLimit=3,
        SnapshotWindow="02:00-03:00",
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    cache.create_replication_group(
        ReplicationGroupId="sessions",
        ReplicationGroupDescription="one shard, cluster mode disabled",
        NumCacheClusters=2,
        CacheNodeType="cache.t4g.small",
        SnapshotRetentionLimit=7,
    )
    cache.create_cache_cluster(CacheClusterId="scratch", Engine="redis", CacheNodeType="cache.t4g.micro")
    cache.create_cache_cluster(
        CacheClusterId="pages", Engine="memcached", CacheNodeType="cache.t4g.micro", NumCacheNodes=2
    )


def make_bucket(s3: Any, bucket: str, actions: list[str] | None = None) -> None:
    s3.create_bucket(Bucket=bucket)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": PRINCIPAL},
        "Action": REQUIRED_ACTIONS if actions is None else actions,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def wait_for(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def status_of(place: Place, name: str) -> str:
    return str(place.cache.describe_snapshots(SnapshotName=name)["Snapshots"][0]["SnapshotStatus"])


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert error["Type"] == "Sender"
    return error["Code"], error["Message"]


def export(place: Place, source: str, target: str, bucket: str = "exports") -> Any:
    return place.cache.copy_snapshot(SourceSnapshotName=source, TargetSnapshotName=target, TargetBucket=bucket)[
        "Snapshot"
    ]
