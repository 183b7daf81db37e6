"""What importing a handler loads: nothing heavy that its first lines do not need.

`make bench` times the same imports; here they are looked at, so that a slow machine fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.packaging.template import REPOSITORY, of_type

LAYER, FUNCTIONS = REPOSITORY / "layers" / "rdbkeeper", REPOSITORY / "functions"
HANDLERS = sorted(
    {function.properties["Handler"].rpartition(".")[0] for function in of_type("AWS::Serverless::Function")}
)

# Not one dependency may come along unnoticed, and of the standard library none of the large ones.
HEAVY_DEPENDENCIES = {
    "anycrc",
    "async_timeout",
    "aws_durable_execution_sdk_python",
    "aws_lambda_powertools",
    "boto3",
    "croniter",
    "pytz",
    "redis",
    "tzdata",
}
HEAVY_STANDARD = {"asyncio", "ctypes", "sqlite3", "unittest", "xmlrpc"}
# What each handler may load of these. boto3 comes with the SDK, and every handler makes its clients.
MAY_LOAD = {
    "run_rule.app": {"boto3", "aws_durable_execution_sdk_python"},
    "copy_leg.app": {"boto3"},
    "manage_rules.app": {"boto3"},
    "reconcile_rules.app": {"boto3"},
}

# Ours: what an adapter is made of is loaded when `wiring` makes it.
ADAPTERS = {
    "rdbkeeper.aws.engine",
    "rdbkeeper.aws.executions",
    "rdbkeeper.aws.fleet",
    "rdbkeeper.aws.journal",
    "rdbkeeper.aws.stack_answer",
    "rdbkeeper.sources.elasticache.source",
    "rdbkeeper.vaults.s3",
}
# Rules are managed by people and fleets by the clock; runs begin by the thousand and need none of it.
OF_THE_FLEET = ("rdbkeeper.domain.fleet.parts", "rdbkeeper.domain.fleet.plan", "rdbkeeper.flows.fleet.work")
OF_RUNS = ("rdbkeeper.flows.runs.run", "rdbkeeper.flows.runs.transfer", "rdbkeeper.rdb")

IMPORT = """
import json, sys
sys.path[:0] = sys.argv[2:]
before = set(sys.modules)
__import__(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@cache
def loaded_by(module: str) -> frozenset[str]:
    """Every module that a fresh process has loaded when the handler's has been imported."""
    command = [sys.executable, "-I", "-B", "-c", IMPORT, module, str(FUNCTIONS), str(LAYER)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout))


def test_every_handler_is_held_to_what_it_may_load() -> None:
    assert set(HANDLERS) == set(MAY_LOAD)


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_loads_nothing_heavy_that_it_may_do_without(handler: str) -> None:
    loaded = {name.partition(".")[0] for name in loaded_by(handler)}
    assert loaded & (HEAVY_DEPENDENCIES | HEAVY_STANDARD) == MAY_LOAD[handler]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_loads_no_adapter_before_it_is_made(handler: str) -> None:
    assert not loaded_by(handler) & ADAPTERS


@pytest.mark.parametrize("handler", ["run_rule.app", "copy_leg.app"])
def test_runs_and_their_workers_load_nothing_of_the_fleet(handler: str) -> None:
    assert not [name for name in loaded_by(handler) if name.startswith(OF_THE_FLEET)]


@pytest.mark.parametrize("handler", ["manage_rules.app", "reconcile_rules.app"])
def test_what_manages_rules_loads_nothing_that_copies(handler: str) -> None:
    assert not [name for name in loaded_by(handler) if name in OF_RUNS or name.startswith("rdbkeeper.rdb.")]


def test_every_module_of_ours_that_is_named_here_exists() -> None:
    for name in (*ADAPTERS, *OF_THE_FLEET, *OF_RUNS):
        path = LAYER.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
