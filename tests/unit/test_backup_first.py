"""Backups on demand: what a rule may say of them, how they are called, and what a day allows."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from rdbkeeper.domain.backup import Backup, BackupState, Consistency, EngineFacts, Instance
from rdbkeeper.domain.backup_first import (
    BackupFirst,
    Freeze,
    MadeBackup,
    check_quota,
    check_worth_making,
    is_anothers,
    name_backup,
)
from rdbkeeper.domain.errors import BackupNotMade, BackupQuotaUsed, InvalidRequest, NotExportable

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ORDERS = Instance("elasticache", "orders", "redis", "available", True, 7, "02:00-03:00", ("orders-001",))


def listed(backup_id: str, hours_ago: float | None, *, automatic: bool = False) -> Backup:
    taken_at = None if hours_ago is None else NOW - timedelta(hours=hours_ago)
    state = BackupState.IN_PROGRESS if taken_at is None else BackupState.COMPLETE
    return Backup("elasticache", "orders", backup_id, state, automatic, taken_at, (), EngineFacts())


def made(name: str, hours_ago: float, **more: Any) -> MadeBackup:
    return MadeBackup(name, NOW - timedelta(hours=hours_ago), **more)


# What a rule says


@pytest.mark.parametrize("name", ["stop", "Stop_writes-2", "stop:live", "stop:12", "stop:$LATEST", "a" * 64])
def test_a_function_is_named_alone_or_with_its_alias(name: str) -> None:
    assert BackupFirst(name, name).has_hooks


@pytest.mark.parametrize(
    "name",
    ["a b", "a" * 65, "stop:", "arn:aws:lambda:us-east-1:000000000000:function:stop", "a/b", "stop\n", "ä", "a:b:c"],
)
def test_what_is_no_functions_name_is_refused(name: str) -> None:
    for field, hooks in (("freeze", (name, "go-on")), ("thaw", ("stop", name))):
        with pytest.raises(InvalidRequest) as refused:
            BackupFirst(*hooks)
        assert refused.value.field == f"backup_first.{field}"


@pytest.mark.parametrize(
    "said, field",
    [
        ({"freeze": "stop"}, "thaw"),
        ({"thaw": "go-on"}, "freeze"),
        ({"demands_application": True}, "demands_application"),
        ({"longest_freeze_s": 0}, "longest_freeze_s"),
        ({"longest_freeze_s": 3601}, "longest_freeze_s"),
    ],
)
def test_what_cannot_be_is_refused_by_field(said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        BackupFirst(**said)
    assert refused.value.field == f"backup_first.{field}" and refused.value.hint


def test_without_hooks_nothing_is_frozen() -> None:
    assert not BackupFirst().has_hooks


@pytest.mark.parametrize(
    "one",
    [
        BackupFirst(),
        BackupFirst("stop", "go-on:live", 60, demands_application=True),
        made("rdbkeeper-a", 1),
        made("rdbkeeper-a", 1, backup_id="8f3a", consistency=Consistency.APPLICATION, reason="frozen", is_removed=True),
        made("rdbkeeper-a", 1, provider="memorydb", instance="orders", is_verified=True),
        replace(ORDERS, data_tiering="enabled"),
        Freeze("go-on", "orders", "an execution", NOW, NOW + timedelta(minutes=5)),
        Freeze(
            "go-on", "orders", "an execution", NOW, NOW + timedelta(minutes=5), NOW + timedelta(minutes=20), "redis"
        ),
    ],
    ids=lambda one: type(one).__name__,
)
def test_each_survives_being_written_down(one: Any) -> None:
    assert type(one).from_record(one.as_record()) == one


def test_numbers_of_a_table_are_read_as_whole_ones() -> None:
    record = {**BackupFirst().as_record(), "longest_freeze_s": Decimal(60)}
    assert type(BackupFirst.from_record(record).longest_freeze_s) is int


# Names


def test_a_name_tells_whose_it_is_and_when_it_was_asked_for_in_what_every_provider_takes() -> None:
    name = name_backup("0a1b2c3d", NOW)
    assert name == "rdbkeeper-0a1b2c3d-20261121030000"
    assert len(name) <= 40 and re.fullmatch(r"[a-z](?:-?[a-z0-9])*", name)


def test_a_name_counts_in_utc() -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    assert name_backup("0a1b2c3d", tokyo) == name_backup("0a1b2c3d", NOW)


OURS = "rdbkeeper-0a1b2c3d-20261121030000"


@pytest.mark.parametrize(
    "backup, tag, is_so",
    [
        (listed(OURS, 1), "ffffffff", True),
        (listed(OURS, None), "ffffffff", True),
        (listed(OURS, 35 * 24), "ffffffff", True),
        (listed(OURS, 35 * 24 + 1), "ffffffff", False),
        (listed(OURS, 1), "0a1b2c3d", False),
        (listed("rdbkeeper-by-hand", 1), "ffffffff", False),
        (listed(f"{OURS}-final", 1), "ffffffff", False),
    ],
    ids=["fresh", "being made", "old", "forgotten", "its own", "a person's", "a person's copy"],
)
def test_a_name_tells_what_another_rule_had_made_and_will_remove(backup: Backup, tag: str, is_so: bool) -> None:
    assert is_anothers(backup, tag, NOW) is is_so


# What is not worth making


def test_no_fourth_backup_is_made_while_three_are_there_that_have_no_verified_copy() -> None:
    there = [listed("a", 72), listed("b", 48), listed("8f3a", 24), listed("theirs", 1)]
    ours = [made("a", 72), made("b", 48), made("rdbkeeper-c", 24, backup_id="8f3a")]
    with pytest.raises(BackupNotMade, match="3 backups that this rule had made have no verified copy"):
        check_worth_making(ORDERS, there, ours)
    check_worth_making(ORDERS, there, ours[:2])
    for another in ({"is_removed": True}, {"is_verified": True}):
        check_worth_making(ORDERS, there, [*ours[:2], made("never listed", 24), made("theirs", 1, **another)])


@pytest.mark.parametrize("said, is_tiered", [("enabled", True), ("True", True), ("disabled", False), ("", False)])
def test_no_backup_is_made_whose_like_cannot_be_exported(said: str, is_tiered: bool) -> None:
    before = listed("b1", 48)
    newest = replace(listed("b2", 24), engine=EngineFacts(data_tiering=said))
    check_worth_making(ORDERS, [replace(before, engine=EngineFacts(data_tiering="enabled")), listed("b2", 24)], [])
    with pytest.raises(NotExportable, match="data tiering") if is_tiered else nullcontext():
        check_worth_making(ORDERS, [newest, before, listed("b3", None)], [])


@pytest.mark.parametrize("said, is_tiered", [("enabled", True), ("true", True), ("disabled", False), ("false", False)])
@pytest.mark.parametrize("of_before", ["enabled", "disabled"])
def test_an_instance_that_says_whether_it_tiers_its_data_is_believed(
    said: str, is_tiered: bool, of_before: str
) -> None:
    backups = [replace(listed("b1", 24), engine=EngineFacts(data_tiering=of_before))]
    with pytest.raises(NotExportable, match="orders has data tiering") if is_tiered else nullcontext():
        check_worth_making(replace(ORDERS, data_tiering=said), backups, [])


# Quotas


def test_as_many_as_a_day_allows_are_made() -> None:
    check_quota([listed(f"b{number}", 1) for number in range(19)], [], 20, NOW)
    with pytest.raises(BackupQuotaUsed, match="20 manual backups within 24 hours; its provider takes 20"):
        check_quota([listed(f"b{number}", 1) for number in range(20)], [], 20, NOW)


@pytest.mark.parametrize(
    "backups, ours",
    [
        ([listed("automatic", 1, automatic=True)], []),
        ([listed("old", 24)], []),
        ([listed("still being made", None)], []),
        ([], [made("old", 24)]),
    ],
    ids=["automatic", "a day old", "time unknown", "ours of the day before"],
)
def test_what_is_not_of_the_day_or_not_manual_does_not_count(backups: list[Backup], ours: list[MadeBackup]) -> None:
    check_quota(backups, ours, 1, NOW)


@pytest.mark.parametrize(
    "backups, ours",
    [
        ([listed("theirs", 23.99)], []),
        ([], [made("rdbkeeper-a", 23.99)]),
        ([], [made("rdbkeeper-a", 1, is_removed=True)]),
        ([listed("being made", None)], [made("being made", 0.1)]),
    ],
    ids=["theirs", "ours", "removed", "being made"],
)
def test_what_is_of_the_day_counts_whoever_made_it_and_wherever_it_is(
    backups: list[Backup], ours: list[MadeBackup]
) -> None:
    with pytest.raises(BackupQuotaUsed):
        check_quota(backups, ours, 1, NOW)


@pytest.mark.parametrize("ours", [made("b1", 1), made("rdbkeeper-a", 1, backup_id="b1")], ids=["by name", "by id"])
def test_what_is_listed_and_on_record_counts_once(ours: MadeBackup) -> None:
    check_quota([listed("b1", 1)], [ours], 2, NOW)
    with pytest.raises(BackupQuotaUsed):
        check_quota([listed("b1", 1), listed("b2", 1)], [ours], 2, NOW)


def test_the_hint_says_from_when_on_the_next_can_be_made() -> None:
    backups = [listed("a", 10), listed("b", 5), listed("c", 2)]
    with pytest.raises(BackupQuotaUsed) as refused:
        check_quota(backups, [], 2, NOW)
    free_at = NOW + timedelta(hours=24 - 5)
    assert f"after {free_at.isoformat()}" in refused.value.hint
    check_quota(backups, [], 2, free_at)
    with pytest.raises(BackupQuotaUsed):
        check_quota(backups, [], 2, free_at - timedelta(seconds=1))


def test_an_older_record_knows_of_no_removal() -> None:
    record = made("rdbkeeper-a", 1).as_record()
    del record["is_removed"]
    assert MadeBackup.from_record(record) == replace(made("rdbkeeper-a", 1), is_removed=False)


def test_an_older_record_is_of_whatever_its_rule_points_at() -> None:
    record = made("rdbkeeper-a", 1).as_record()
    del record["provider"], record["instance"]
    assert MadeBackup.from_record(record).is_of("memorydb", "orders")


@pytest.mark.parametrize("provider, instance", [("memorydb", "sessions"), ("elasticache", "orders")])
def test_what_was_made_of_something_else_is_known(provider: str, instance: str) -> None:
    ours = made("rdbkeeper-a", 1, provider="memorydb", instance="orders")
    assert ours.is_of("memorydb", "orders") and not ours.is_of(provider, instance)


# Freezes


@pytest.mark.parametrize(
    "instance, provider, meets",
    [
        ("orders", "elasticache", True),
        ("orders", "", True),
        ("orders", "memorydb", False),
        ("sessions", "elasticache", False),
        ("sessions", "", False),
    ],
)
def test_freezes_meet_that_are_of_one_instance(instance: str, provider: str, meets: bool) -> None:
    one = Freeze("go-on", "orders", "an execution", NOW, NOW, provider="elasticache")
    other = Freeze("go-on", instance, "another", NOW, NOW, provider=provider)
    assert one.meets(other) is other.meets(one) is meets


def test_a_freeze_may_come_late_until_no_call_can_be_going_any_more() -> None:
    freeze = Freeze("go-on", "orders", "an execution", NOW, NOW)
    assert not freeze.may_come_late(NOW)
    late = replace(freeze, late_until=NOW + timedelta(minutes=20))
    assert late.may_come_late(NOW + timedelta(minutes=19)) and not late.may_come_late(NOW + timedelta(minutes=20))


def test_an_older_record_knows_of_no_call_without_an_answer() -> None:
    record = Freeze("go-on", "orders", "an execution", NOW, NOW).as_record()
    del record["late_until"]
    assert not Freeze.from_record(record).may_come_late(NOW)
