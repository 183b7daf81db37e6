"""The environment of the functions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.errors import SettingsError
from rdbkeeper.domain.fleet.settings import NO_NETWORK, Network
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.entry.settings import ManageSettings, RunSettings, StoreSettings, read_logged, rule_of
from rdbkeeper.entry.wiring import run_context
from rdbkeeper.flows.runs.live import STREAM_RESERVE_S
from rdbkeeper.ports import Poll
from rdbkeeper.sources.redis.source import RedisSource
from tests.fakes.journal import ListJournal

STORE = {"RDBKEEPER_TABLE": "table", "RDBKEEPER_VAULT_BUCKET": "vault", "RDBKEEPER_STAGING_BUCKET": "staging"}
RUN = {
    **STORE,
    "RDBKEEPER_RULE": "orders",
    "RDBKEEPER_EXPORT_POLL_SECONDS": "30",
    "RDBKEEPER_EXPORT_QUIET_SECONDS": "200",
    "RDBKEEPER_EXPORT_TIMEOUT_MINUTES": "180",
    "RDBKEEPER_SPREAD_FROM_GIGABYTES": "20",
    "RDBKEEPER_WORKERS_PER_RULE": "8",
    "RDBKEEPER_COPY_LEG_FUNCTION": "arn:aws:lambda:us-east-1:000000000000:function:rdbkeeper-copy-leg:7",
    "RDBKEEPER_INVOCATION_SECONDS": "900",
}
MANAGE = {
    **STORE,
    "RDBKEEPER_STACK": "rdbkeeper",
    "RDBKEEPER_PROTOTYPE_FUNCTION": "rdbkeeper-run-rule",
    "RDBKEEPER_SCHEDULER_ROLE_ARN": "arn:aws:iam::000000000000:role/scheduler",
    "RDBKEEPER_SCHEDULE_GROUP": "rdbkeeper",
    "RDBKEEPER_LOG_RETENTION_DAYS": "90",
    "RDBKEEPER_ALARM_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:rdbkeeper-alarms",
}
ROLE = "arn:aws:iam::000000000000:role/orders/reader"


def read_run(environment: dict[str, str]) -> RunSettings:
    return RunSettings.from_environment(environment)


def test_the_network_of_a_stack_is_read_in_one_order_and_may_be_none() -> None:
    given = {"RDBKEEPER_VPC_SUBNET_IDS": "subnet-2,subnet-1", "RDBKEEPER_VPC_SECURITY_GROUP_IDS": "sg-2,sg-1"}
    network = ManageSettings.from_environment({**MANAGE, **given}).fleet.network
    assert network == Network(("subnet-1", "subnet-2"), ("sg-1", "sg-2"))
    assert ManageSettings.from_environment(MANAGE).fleet.network == NO_NETWORK


def test_a_setting_that_is_wrong_stands_in_the_log_by_name() -> None:
    journal = ListJournal()
    with pytest.raises(SettingsError):
        read_logged(RunSettings.from_environment, {**RUN, "RDBKEEPER_TABLE": ""}, journal)
    assert journal.events() == ["SettingsWrong"]
    assert "RDBKEEPER_TABLE" in journal.text()


def test_a_run_reads_a_server_no_longer_than_its_invocation_lives() -> None:
    settings = read_run({**RUN, "RDBKEEPER_INVOCATION_SECONDS": "700"})
    context = run_context(settings, "", ListJournal(), RunRequest(), client=lambda name: name)
    source = context.adapters.live_source(SourceAccess(address="queue.example:6379"))
    assert isinstance(source, RedisSource)
    assert source.longest_s == 700 - STREAM_RESERVE_S


def test_the_log_of_a_function_without_a_rule_says_so() -> None:
    assert (rule_of(RUN), rule_of({})) == ("orders", "-")


def test_a_whole_environment_is_read() -> None:
    settings = read_run(RUN)
    assert (settings.rule, settings.poll, settings.export_timeout) == ("orders", Poll(30, 120), timedelta(hours=3))
    assert settings.store.export_quiet == timedelta(seconds=200)
    assert settings.copying == CopySettings(spread_from_bytes=20_000_000_000, workers=8)
    assert (settings.worker, settings.longest_invocation) == (
        RUN["RDBKEEPER_COPY_LEG_FUNCTION"],
        timedelta(minutes=15),
    )
    assert read_logged(StoreSettings.from_environment, STORE, ListJournal()).staging_bucket == "staging"
    fleet = ManageSettings.from_environment(MANAGE).fleet
    assert (fleet.stack, fleet.log_retention_days, fleet.rule_role_arns) == ("rdbkeeper", 90, ())


def test_where_the_stack_is_and_what_it_may_reach_is_read() -> None:
    said = {
        "AWS_REGION": "eu-central-1",
        "RDBKEEPER_ACCOUNT": "000000000000",
        "RDBKEEPER_ALLOW_PRIVATE_ENDPOINTS": "true",
    }
    store = StoreSettings.from_environment({**STORE, **said})
    assert (store.region, store.account, store.allows_private_endpoints) == ("eu-central-1", "000000000000", True)
    assert ManageSettings.from_environment({**MANAGE, "RDBKEEPER_STACK_ID": "arn:s"}).fleet.stack_id == "arn:s"


@pytest.mark.parametrize("written", ["", "false", "yes", "1", "True "])
def test_private_endpoints_are_allowed_by_one_word_alone(written: str) -> None:
    store = StoreSettings.from_environment({**STORE, "RDBKEEPER_ALLOW_PRIVATE_ENDPOINTS": written})
    assert not store.allows_private_endpoints


@pytest.mark.parametrize(
    "written, roles", [("", ()), (ROLE, (ROLE,)), (f"{ROLE},{ROLE}-2", (ROLE, f"{ROLE}-2")), (f"{ROLE},", (ROLE,))]
)
def test_the_roles_that_rules_may_name_are_read_as_the_template_joins_them(
    written: str, roles: tuple[str, ...]
) -> None:
    settings = ManageSettings.from_environment({**MANAGE, "RDBKEEPER_RULE_ROLE_ARNS": written})
    assert settings.fleet.rule_role_arns == roles


@pytest.mark.parametrize("name", RUN)
def test_a_missing_variable_of_a_run_is_said_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_run({**RUN, name: ""})


@pytest.mark.parametrize("name", MANAGE)
def test_a_missing_variable_of_the_manager_is_said_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ManageSettings.from_environment({key: value for key, value in MANAGE.items() if key != name})


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5"])
def test_a_number_that_is_not_one_is_said_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="RDBKEEPER_EXPORT_POLL_SECONDS"):
        read_run({**RUN, "RDBKEEPER_EXPORT_POLL_SECONDS": value})


def test_looks_at_a_long_export_grow_apart_so_that_they_fit_an_execution() -> None:
    eager = {**RUN, "RDBKEEPER_EXPORT_POLL_SECONDS": "1", "RDBKEEPER_EXPORT_TIMEOUT_MINUTES": "1200"}
    assert read_run(eager).poll == Poll(1, 240)


@pytest.mark.parametrize(
    "written, size_bytes", [("1", 10**9), ("20", 20 * 10**9), ("0.05", 50_000_000), ("0.000000001", 1)]
)
def test_a_backup_is_shared_out_from_a_size_that_may_be_a_fraction_of_a_gigabyte(written: str, size_bytes: int) -> None:
    settings = read_run({**RUN, "RDBKEEPER_SPREAD_FROM_GIGABYTES": written})
    assert settings.copying.spread_from_bytes == size_bytes


@pytest.mark.parametrize("value", ["0", "0.0", "-1", "1e3", "nan", "a lot", ".5", "1."])
def test_a_size_that_is_none_is_said_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="RDBKEEPER_SPREAD_FROM_GIGABYTES"):
        read_run({**RUN, "RDBKEEPER_SPREAD_FROM_GIGABYTES": value})
