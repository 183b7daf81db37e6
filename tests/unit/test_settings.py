"""The environment of the functions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rdbkeeper.domain.errors import SettingsError
from rdbkeeper.entry.settings import ManageSettings, RunSettings
from rdbkeeper.ports import Poll

STORE = {"RDBKEEPER_TABLE": "table", "RDBKEEPER_VAULT_BUCKET": "vault", "RDBKEEPER_STAGING_BUCKET": "staging"}
RUN = {
    **STORE,
    "RDBKEEPER_RULE": "orders",
    "RDBKEEPER_EXPORT_POLL_SECONDS": "30",
    "RDBKEEPER_EXPORT_TIMEOUT_MINUTES": "180",
}
MANAGE = {
    **STORE,
    "RDBKEEPER_STACK": "rdbkeeper",
    "RDBKEEPER_PROTOTYPE_FUNCTION": "rdbkeeper-run-rule",
    "RDBKEEPER_SCHEDULER_ROLE_ARN": "arn:aws:iam::000000000000:role/scheduler",
    "RDBKEEPER_SCHEDULE_GROUP": "rdbkeeper",
    "RDBKEEPER_LOG_RETENTION_DAYS": "90",
}


def test_a_whole_environment_is_read() -> None:
    settings = RunSettings.from_environment(RUN)
    assert (settings.rule, settings.poll, settings.export_timeout) == ("orders", Poll(30, 120), timedelta(hours=3))
    assert ManageSettings.from_environment(MANAGE).fleet.log_retention_days == 90


@pytest.mark.parametrize("name", RUN)
def test_a_missing_variable_of_a_run_is_said_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        RunSettings.from_environment({**RUN, name: ""})


@pytest.mark.parametrize("name", MANAGE)
def test_a_missing_variable_of_the_manager_is_said_by_name(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        ManageSettings.from_environment({key: value for key, value in MANAGE.items() if key != name})


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5"])
def test_a_number_that_is_not_one_is_said_by_name(value: str) -> None:
    with pytest.raises(SettingsError, match="RDBKEEPER_EXPORT_POLL_SECONDS"):
        RunSettings.from_environment({**RUN, "RDBKEEPER_EXPORT_POLL_SECONDS": value})


def test_looks_at_a_long_export_grow_apart_so_that_they_fit_an_execution() -> None:
    eager = {**RUN, "RDBKEEPER_EXPORT_POLL_SECONDS": "1", "RDBKEEPER_EXPORT_TIMEOUT_MINUTES": "1200"}
    assert RunSettings.from_environment(eager).poll == Poll(1, 240)
