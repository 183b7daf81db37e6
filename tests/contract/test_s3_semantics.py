"""Each server answers each row of the table as Amazon does, or as it is known to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.contract.guarded_server import guarded
from tests.contract.s3_deviations import KNOWN, KNOWN_VERSIONS
from tests.contract.s3_semantics import ROWS, Bench, Row
from tests.local_cloud.s3_guard import S3Guard
from tests.stores.running import Servers
from tests.stores.servers import KINDS

STAND_IN = "local cloud"
_buckets = count(1)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Any]:
    with guarded({"s3": S3Guard()}) as client:
        made = client("s3")
        config = Config(request_checksum_calculation="when_required", retries={"total_max_attempts": 1})
        yield boto3.Session("test", "test", region_name="us-east-1").client(
            "s3", endpoint_url=made.meta.endpoint_url, config=config
        )


@pytest.fixture(params=[STAND_IN, *KINDS])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_server_answers_as_amazon_does_or_as_it_is_known_to(
    server: str, row: Row, request: pytest.FixtureRequest
) -> None:
    options = {"ObjectLockEnabledForBucket": True} if row.locks else {}
    if server == STAND_IN:
        client, bucket = request.getfixturevalue("stand_in"), f"row-{next(_buckets)}"
        client.create_bucket(Bucket=bucket, **options)
    else:
        servers: Servers = request.getfixturevalue("servers")
        version = servers.get(server).version
        if not version.startswith(KNOWN_VERSIONS[server]):
            pytest.skip(f"{server} {version} is another than was asked")
        client, bucket = servers.get(server).client(), servers.make_bucket(server, **options)
    bench = Bench(client, bucket)
    row.before(bench)
    assert row.call(bench) == KNOWN.get(server, {}).get(row.name, row.amazon)


def test_the_table_is_long_enough_each_row_is_another_and_has_a_source() -> None:
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.source[:3] in ("S: ", "U: ") for row in ROWS)


def test_every_known_deviation_is_of_a_server_and_of_a_row_that_are_asked() -> None:
    assert set(KNOWN) == set(KINDS)
    names = {row.name: row.amazon for row in ROWS}
    for known in KNOWN.values():
        assert all(answer != names[name] for name, answer in known.items())
