"""How a rule is: the one word that a person is shown, whether its copies are too old, and whether it missed a fire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.catalog import CatalogEntry, Level
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.outcome import Outcome, Status
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import (
    Block,
    KeptCopies,
    RuleStatus,
    RunReport,
    RunState,
    find_instance_block,
    find_kept_copies,
    find_reason_to_keep_all,
    hours_overdue,
    missed_fire,
    owe_run,
    show,
)
from tests.flows.world import make_rule

CREATED = datetime(2026, 11, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
BLOCK = Block("BackupsDisabled", "It makes no backups.", "Switch them on.")
DAILY = Cycle("daily", "UTC", at="02:30")
HOURLY = Cycle("custom", "UTC", cron="rate(1 hour)")
WEEKLY = Cycle("weekly", "UTC", at="02:30", days=("SUN",))
MANUAL = Cycle("manual", "UTC")


def rule_of(cycle: Cycle = DAILY, **changes: Any) -> Rule:
    return make_rule(cycle=cycle, **changes)


def verified(hours_ago: float) -> RuleStatus:
    return RuleStatus(kept=KeptCopies("a copy", NOW - timedelta(hours=hours_ago), "redis/orders/"))


def ran(at: datetime) -> RuleStatus:
    return RuleStatus(RunReport("run-1", at, RunState.SUCCEEDED))


# What retention goes by


def copies(*hours_ago: float, level: Level = Level.VERIFIED, is_damaged: bool = False) -> list[CatalogEntry]:
    taken = [NOW - timedelta(hours=hours) for hours in hours_ago]
    return [CatalogEntry(f"{at:%Y%m%dT%H%M%SZ}-x", level, is_damaged=is_damaged) for at in taken]


@pytest.mark.parametrize("cycle, hours", [(DAILY, 54), (HOURLY, 31), (WEEKLY, 198), (MANUAL, 30)])
def test_retention_goes_by_the_newest_copys_age_whatever_happened_to_the_rule(cycle: Cycle, hours: int) -> None:
    for state in RuleState:
        rule = rule_of(cycle, state=state, created_at=NOW, watched_since=NOW)
        assert find_reason_to_keep_all(rule, copies(hours, 900), NOW) == ""
        reason = find_reason_to_keep_all(rule, copies(hours + 2, 900), NOW)
        assert reason == "the newest verified copy is 2 hours older than it should be"


def test_an_unchecked_copy_tells_retention_something_only_where_none_is_verified() -> None:
    unchecked = copies(2, level=Level.UNCHECKED)
    assert find_reason_to_keep_all(rule_of(), unchecked, NOW) == ""
    assert "newest verified copy" in find_reason_to_keep_all(rule_of(), [*unchecked, *copies(100)], NOW)
    late = copies(58, level=Level.UNCHECKED)
    assert find_reason_to_keep_all(rule_of(), late, NOW).startswith("the newest copy (none is verified) is 4 hours")


def test_damaged_copies_tell_retention_nothing() -> None:
    assert find_reason_to_keep_all(rule_of(), copies(2, is_damaged=True), NOW) == "no copy is whole"


# The word


@pytest.mark.parametrize("state", [RuleState.CREATING, RuleState.DELETING, RuleState.PAUSED])
def test_what_the_owner_wants_comes_before_all_else(state: RuleState) -> None:
    shown = show(rule_of(state=state), RuleStatus(block=BLOCK), NOW)
    assert shown.as_record() == {"state": state.value, "reason": "", "hint": ""}


def test_a_block_comes_before_overdue_and_says_why_and_what_to_do() -> None:
    status = replace(verified(hours_ago=1000), block=BLOCK)
    assert show(rule_of(), status, NOW).as_record() == {
        "state": "blocked",
        "reason": "BackupsDisabled: It makes no backups.",
        "hint": "Switch them on.",
    }


def test_a_rule_whose_newest_verified_copy_is_too_old_is_overdue() -> None:
    shown = show(rule_of(), verified(hours_ago=56.5), NOW)
    assert shown.state == "overdue"
    assert shown.reason == (
        "The newest verified copy is of 18 Nov 2026 18:30 UTC; a newer one has been due for 2 h 30 min."
    )
    assert "history" in shown.hint


def test_a_rule_that_never_had_a_verified_copy_says_so() -> None:
    shown = show(rule_of(), RuleStatus(), NOW)
    assert shown.reason.startswith("No copy is verified yet; one has been due for ")


def test_a_rule_about_which_there_is_nothing_to_say_is_active() -> None:
    assert show(rule_of(), verified(hours_ago=1), NOW).as_record() == {"state": "active", "reason": "", "hint": ""}


# Overdue


@pytest.mark.parametrize(
    "cycle, allowed_hours",
    [
        (DAILY, 24 + 24 + 6),
        (WEEKLY, 7 * 24 + 24 + 6),
        (HOURLY, 1 + 24 + 6),
        (Cycle("custom", "UTC", cron="0 2 1 * *"), 31 * 24 + 24 + 6),
        (Cycle("custom", "UTC", cron="0 9-17 * * 1-5"), 2 * 24 + 16 + 24 + 6),
    ],
    ids=str,
)
def test_a_copy_may_be_as_old_as_the_cycle_the_source_and_a_margin_allow(cycle: Cycle, allowed_hours: float) -> None:
    rule = rule_of(cycle, created_at=NOW - timedelta(days=400))
    assert hours_overdue(rule, verified(allowed_hours), NOW) == 0.0
    assert hours_overdue(rule, verified(allowed_hours + 1), NOW) == pytest.approx(1.0)


@pytest.mark.parametrize("days", [1, 5, 20])
def test_hours_grow_with_the_silence(days: int) -> None:
    rule = rule_of(created_at=CREATED - timedelta(days=100))
    assert hours_overdue(rule, verified(54 + 24 * days), NOW) == pytest.approx(24 * days)


def test_a_rule_that_never_copied_is_overdue_from_when_it_was_made() -> None:
    rule = rule_of(created_at=NOW - timedelta(hours=60))
    assert hours_overdue(rule, RuleStatus(), NOW) == pytest.approx(6.0)


def test_a_new_rule_is_not_overdue_because_of_an_old_copy_that_it_found() -> None:
    rule = rule_of(created_at=NOW - timedelta(hours=1))
    assert hours_overdue(rule, verified(hours_ago=1000), NOW) == 0.0


def test_a_rule_that_was_resumed_is_given_its_cycle_anew() -> None:
    rule = rule_of(watched_since=NOW - timedelta(hours=53))
    assert hours_overdue(rule, verified(hours_ago=400), NOW) == 0.0
    assert hours_overdue(rule, verified(hours_ago=400), NOW + timedelta(hours=3)) == pytest.approx(2.0)


def test_copies_in_a_former_place_do_not_keep_a_rule_from_being_overdue() -> None:
    moved = rule_of(prefix="elsewhere/")
    assert hours_overdue(moved, verified(hours_ago=1), NOW) > 0


def test_unchecked_copies_alone_do_not_keep_a_rule_from_being_overdue() -> None:
    unchecked_only = RuleStatus(kept=KeptCopies("20261121T020000Z-a"))
    assert hours_overdue(rule_of(), unchecked_only, NOW) > 0


@pytest.mark.parametrize("state", [RuleState.PAUSED, RuleState.CREATING, RuleState.DELETING])
def test_only_an_active_rule_can_be_overdue(state: RuleState) -> None:
    assert hours_overdue(rule_of(state=state), verified(hours_ago=1000), NOW) == 0.0


def test_a_manual_rule_is_never_overdue() -> None:
    assert hours_overdue(rule_of(MANUAL), RuleStatus(), NOW) == 0.0


def test_a_cron_whose_years_are_past_allows_no_cycle() -> None:
    ended = Cycle("custom", "UTC", cron="cron(0 2 * * ? 2020)")
    assert hours_overdue(rule_of(ended), verified(hours_ago=31), NOW) == pytest.approx(1.0)


# Fires that were missed


@pytest.mark.parametrize(
    "last_run, missed",
    [
        (datetime(2026, 11, 20, 2, 30, 5, tzinfo=UTC), True),
        (datetime(2026, 11, 21, 2, 30, 5, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 2, 29, 59, tzinfo=UTC), True),
    ],
)
def test_a_fire_is_missed_when_no_run_has_begun_since_it_was_due(last_run: datetime, missed: bool) -> None:
    assert missed_fire(rule_of(), ran(last_run), datetime(2026, 11, 21, 4, 1, tzinfo=UTC), CREATED) is missed


def test_a_fire_is_given_as_long_as_scheduler_goes_on_trying() -> None:
    yesterday = ran(datetime(2026, 11, 20, 2, 31, tzinfo=UTC))
    assert not missed_fire(rule_of(), yesterday, datetime(2026, 11, 21, 3, 40, tzinfo=UTC), CREATED)


def test_a_rule_that_never_ran_missed_what_was_due_since_it_is_watched() -> None:
    assert missed_fire(rule_of(), RuleStatus(), NOW, CREATED)
    assert not missed_fire(rule_of(watched_since=NOW), RuleStatus(), NOW + timedelta(hours=12), CREATED)
    assert missed_fire(rule_of(watched_since=NOW), RuleStatus(), NOW + timedelta(hours=25), CREATED)


def test_what_was_due_while_a_rule_was_paused_was_not_missed() -> None:
    resumed = rule_of(watched_since=NOW - timedelta(minutes=10))
    assert not missed_fire(resumed, ran(CREATED), NOW, CREATED)
    assert not missed_fire(rule_of(state=RuleState.PAUSED), ran(CREATED), NOW, CREATED)


def test_what_a_new_schedule_would_have_fired_before_it_was_made_was_not_missed() -> None:
    assert not missed_fire(rule_of(), ran(CREATED), NOW + timedelta(hours=2), NOW)
    assert missed_fire(rule_of(), ran(CREATED), NOW + timedelta(hours=26), NOW)


def test_a_rule_without_a_schedule_misses_nothing() -> None:
    assert not missed_fire(rule_of(MANUAL), RuleStatus(), NOW, CREATED)
    assert not missed_fire(rule_of(), RuleStatus(), NOW, None)


def test_what_came_due_while_a_run_was_going_that_has_ended_since_was_not_missed() -> None:
    long_run = RunReport("run-1", NOW - timedelta(hours=7), RunState.SUCCEEDED, ended_at=NOW - timedelta(minutes=5))
    every_six_hours = Cycle("custom", "UTC", cron="rate(6 hours)")
    assert not missed_fire(rule_of(every_six_hours), RuleStatus(long_run), NOW + timedelta(hours=2), CREATED)


def test_what_a_long_run_kept_from_beginning_was_not_missed_unless_it_is_past_any_runs_end() -> None:
    going = RuleStatus(RunReport("run-1", NOW - timedelta(hours=23), RunState.GOING))
    assert not missed_fire(rule_of(HOURLY), going, NOW, CREATED)
    assert missed_fire(rule_of(HOURLY), going, NOW + timedelta(hours=2), CREATED)


# What is kept


def entry(day: int, level: Level, name: str = "a") -> CatalogEntry:
    return CatalogEntry(f"202611{day:02}T021500Z-{name}", level)


def test_the_newest_copy_and_the_newest_verified_one_are_found_whatever_the_order() -> None:
    catalog = [entry(19, Level.VERIFIED), entry(20, Level.UNCHECKED), entry(18, Level.VERIFIED)]
    kept = find_kept_copies("redis/orders/", catalog)
    assert kept == KeptCopies("20261120T021500Z-a", datetime(2026, 11, 19, 2, 15, tzinfo=UTC), "redis/orders/")


def test_without_a_verified_copy_there_is_no_time() -> None:
    assert find_kept_copies("redis/orders/", [entry(20, Level.UNCHECKED)]) == KeptCopies(
        "20261120T021500Z-a", None, "redis/orders/"
    )
    assert find_kept_copies("redis/orders/", []) == KeptCopies("", None, "redis/orders/")


def test_what_has_no_id_of_ours_is_no_copy() -> None:
    assert find_kept_copies("redis/orders/", [CatalogEntry("somebody-elses", Level.VERIFIED)]) == KeptCopies(
        path="redis/orders/"
    )


# Blocks


def instance(**changes: Any) -> Instance:
    return replace(Instance("elasticache", "orders", "redis", "available", True, 7, "02:00-03:00"), **changes)


@pytest.mark.parametrize(
    "found, code",
    [
        (None, "InstanceNotFound"),
        (instance(available=False, status="modifying"), "InstanceNotAvailable"),
        (instance(available=False, status="modifying", backup_retention_days=0), "InstanceNotAvailable"),
        (instance(backup_retention_days=0), "BackupsDisabled"),
    ],
    ids=str,
)
def test_an_instance_that_keeps_the_rule_from_its_work_is_a_block(found: Instance | None, code: str) -> None:
    block = find_instance_block(rule_of(), found)
    assert block is not None
    assert (block.code, block.owes_run) == (code, False)
    assert "orders" in block.message and block.hint


def test_an_instance_that_is_well_is_no_block() -> None:
    assert find_instance_block(rule_of(), instance()) is None


# Written down


def test_a_report_survives_being_written_down_whole_and_as_a_summary() -> None:
    outcomes = (Outcome("a", Status.FAILED, "Why", "It was cut."), Outcome("b", Status.PRESENT, "AlreadyKept"))
    report = RunReport("run-1", CREATED, RunState.FAILED, "a line", NOW, outcomes)
    assert RunReport.from_record(report.as_record()) == report
    assert RunReport.from_record(report.as_summary()) == replace(report, outcomes=())


def test_a_report_of_a_run_that_is_going_survives_too() -> None:
    going = RunReport("run-1", CREATED, RunState.GOING)
    assert RunReport.from_record(going.as_record()) == going


@pytest.mark.parametrize("kept", [KeptCopies(), KeptCopies("20261120T021500Z-a"), KeptCopies("a", NOW)])
def test_what_is_kept_survives_being_written_down(kept: KeptCopies) -> None:
    assert KeptCopies.from_record(kept.as_record()) == kept


def test_a_block_survives_being_written_down_and_can_owe_a_run() -> None:
    assert Block.from_record(BLOCK.as_record()) == BLOCK
    assert Block.from_record(owe_run(BLOCK).as_record()).owes_run
