from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.world import Made, World
from tests.local_cloud.server import LocalCloud

ORDERS = Made("orders", shards=2, ballast_bytes=0)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The stack on a local cloud, with one instance of two shards; moto allows one cloud at a time in a process."""
    with LocalCloud(export_delay_s=0.2) as cloud:
        deployment = cloud.deploy(stack="rdbkeeper", parameters={"ExportPollSeconds": "1", "ExportTimeoutMinutes": "1"})
        world = World(cloud, deployment)
        world.make_instance(ORDERS)
        yield world
