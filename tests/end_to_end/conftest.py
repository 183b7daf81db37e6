from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.world import ALLOWED_FOR_VAULTS, STACK, Made, World
from tests.end_to_end.by_hand import OWN_ROLE
from tests.local_cloud.server import ACCOUNT_ID, LocalCloud

ORDERS = Made("orders", shards=2, ballast_bytes=0)
PARAMETERS = {
    "ExportPollSeconds": "1",
    "ExportTimeoutMinutes": "1",
    "AllowedRuleRoleArns": f"arn:aws:iam::{ACCOUNT_ID}:role/{OWN_ROLE}",
    **ALLOWED_FOR_VAULTS,
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The stack on a local cloud, still without an instance; moto allows one cloud at a time in a process."""
    with LocalCloud(export_delay_s=0.2) as cloud:
        yield World(cloud, cloud.deploy(stack=STACK, parameters=PARAMETERS))
