from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.world import STACK, Made, World, parameters_for
from tests.end_to_end.by_hand import OWN_ROLE
from tests.local_cloud.server import ACCOUNT_ID, LocalCloud

ORDERS = Made("orders", shards=2, ballast_bytes=0)
NO_HOOK = "nobody-made-this"
HOOK_OF_THE_EVENT = "ledger-writes"
# Rules that share what thaws keep each other from freezing, so each that has hooks has its own.
HOOKED = FROZEN, FALLING_BACK, DEMANDING = ("frozen", "falling-back", "demanding")
HOOKS_OF = {rule: {phase: f"{phase}-{rule}" for phase in ("freeze", "thaw")} for rule in HOOKED}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The stack on a local cloud, still without an instance; moto allows one cloud at a time in a process."""
    with LocalCloud(export_delay_s=0.2) as cloud:
        parameters = parameters_for(cloud) | {
            "ExportTimeoutMinutes": "10",
            "AllowedRuleRoleArns": f"arn:aws:iam::{ACCOUNT_ID}:role/{OWN_ROLE}",
        }
        hooks = [NO_HOOK, HOOK_OF_THE_EVENT, *(name for names in HOOKS_OF.values() for name in names.values())]
        arns = [f"arn:aws:lambda:{cloud.region}:{ACCOUNT_ID}:function:{name}" for name in hooks]
        parameters["AllowedHookFunctionArns"] = ",".join(arns)
        yield World(cloud, cloud.deploy(stack=STACK, parameters=parameters))
