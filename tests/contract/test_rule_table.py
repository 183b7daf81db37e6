"""What every rule table keeps, in memory and in DynamoDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from rdbkeeper.domain.errors import NameTaken, RuleBusy
from rdbkeeper.domain.fleet.parts import ScheduleSent
from rdbkeeper.domain.rule import RuleState
from rdbkeeper.domain.status import Block, KeptCopies, RuleStatus
from rdbkeeper.ports import RuleTable, Upload
from tests.contract.table_lab import (
    DAY_S,
    NOW,
    Tables,
    add_rules,
    dynamodb,
    make_report,
    make_rule,
    tables,
)

__all__ = ["dynamodb", "tables"]

NAME = "orders-nightly"
BLOCK = Block("BackupsDisabled", "The instance makes none.", "Switch them on.", owes_run=True)
KEPT = KeptCopies("20261120T021500Z-automatic.orders", datetime(2026, 11, 20, 2, 15, tzinfo=UTC))
SENT = {
    NAME: ScheduleSent("0123456789abcdef", datetime(2026, 11, 21, 2, 59, 1, 250_000, tzinfo=UTC)),
    f"{NAME}_weekday": ScheduleSent("fedcba9876543210", NOW),
}
DELETION = {"rule": NAME, "copies": 3, "share": 0.5, "schedules": ["a", "b"], "nothing": None}


@pytest.fixture
def table(tables: Tables) -> RuleTable:
    return tables.rules


# Rules


def test_a_created_rule_is_found_as_it_was(table: RuleTable) -> None:
    rule = make_rule(bandwidth_mbps=400)
    table.create_rule(rule, table.registry_revision())
    assert table.find_rule(rule.name) == rule
    assert table.rules() == [rule]


def test_rules_come_by_name(table: RuleTable) -> None:
    add_rules(table, "b", "c", "a")
    assert [rule.name for rule in table.rules()] == ["a", "b", "c"]


def test_a_name_is_given_once(table: RuleTable) -> None:
    table.create_rule(make_rule(), table.registry_revision())
    with pytest.raises(NameTaken):
        table.create_rule(make_rule(instance="sessions"), table.registry_revision())
    assert table.rules()[0].instance == "orders"


def test_creating_the_very_same_rule_again_is_creating_it_once(table: RuleTable) -> None:
    revision = table.registry_revision()
    # What is on record has whole seconds; the rule that is being made need not.
    rule = make_rule(created_at=NOW + timedelta(microseconds=5))
    table.create_rule(rule, revision)
    table.create_rule(rule, revision)
    assert len(table.rules()) == 1
    assert table.registry_revision() == revision + 1


def test_a_rule_added_meanwhile_is_noticed(table: RuleTable) -> None:
    revision = table.registry_revision()
    table.create_rule(make_rule("first"), revision)
    with pytest.raises(RuleBusy):
        table.create_rule(make_rule("second"), revision)
    assert [rule.name for rule in table.rules()] == ["first"]


def test_a_rule_is_replaced_at_its_revision_only(table: RuleTable) -> None:
    table.create_rule(make_rule(), table.registry_revision())
    second = make_rule(state=RuleState.DELETING, revision=2)
    table.replace_rule(second, 1)
    table.replace_rule(second, 1)
    with pytest.raises(RuleBusy):
        table.replace_rule(replace(second, revision=3, prefix="other/"), 1)
    assert table.find_rule(NAME) == second


def test_a_rule_that_is_gone_cannot_be_replaced(table: RuleTable) -> None:
    with pytest.raises(RuleBusy):
        table.replace_rule(make_rule(), 1)
    assert table.rules() == []


def test_a_rule_that_keeps_its_place_does_not_touch_the_registry(table: RuleTable) -> None:
    add_rules(table, NAME)
    revision = table.registry_revision()
    table.replace_rule(make_rule(revision=2), 1)
    assert table.registry_revision() == revision


def test_a_rule_that_takes_another_place_counts_as_one_that_took_a_place(table: RuleTable) -> None:
    add_rules(table, NAME)
    revision = table.registry_revision()
    moved = make_rule(prefix="elsewhere/", revision=2)
    table.replace_rule(moved, 1, revision)
    table.replace_rule(moved, 1, revision)
    assert table.find_rule(NAME) == moved
    assert table.registry_revision() == revision + 1


def test_a_place_taken_meanwhile_keeps_a_rule_from_taking_another(table: RuleTable) -> None:
    add_rules(table, NAME)
    revision = table.registry_revision()
    add_rules(table, "second")
    with pytest.raises(RuleBusy):
        table.replace_rule(make_rule(prefix="elsewhere/", revision=2), 1, revision)
    assert table.find_rule(NAME) == make_rule()
    assert table.registry_revision() == revision + 1


def test_a_rule_changed_meanwhile_takes_no_place(table: RuleTable) -> None:
    add_rules(table, NAME)
    table.replace_rule(make_rule(state=RuleState.PAUSED, revision=2), 1)
    revision = table.registry_revision()
    with pytest.raises(RuleBusy):
        table.replace_rule(make_rule(prefix="elsewhere/", revision=2), 1, revision)
    assert table.registry_revision() == revision


# Pages


def test_pages_of_rules_follow_each_other_and_say_when_they_end(table: RuleTable) -> None:
    add_rules(table, "a", "b", "c", "d")
    assert [rule.name for rule, _ in table.rules_page("", 2).rules] == ["a", "b"]
    assert table.rules_page("", 2).next_after == "b"
    second = table.rules_page("b", 2)
    assert [rule.name for rule, _ in second.rules] == ["c", "d"]
    assert second.next_after == "", "a page that is exactly full and the last one"
    assert table.rules_page("d", 2) == table.rules_page("zzz", 2)
    assert table.rules_page("d", 2).rules == () and table.rules_page("d", 2).next_after == ""


def test_a_page_goes_on_from_a_name_that_is_gone(table: RuleTable) -> None:
    add_rules(table, "a", "c")
    assert [rule.name for rule, _ in table.rules_page("b", 5).rules] == ["c"]


def test_each_rule_of_a_page_comes_with_its_own_status(table: RuleTable) -> None:
    add_rules(table, "a", "b", "c", "d")
    for name in ("a", "c", "d"):
        table.record_block(name, replace(BLOCK, message=name))
    assert [(rule.name, status.block and status.block.message) for rule, status in table.rules_page("a", 2).rules] == [
        ("b", None),
        ("c", "c"),
    ]


# Statuses


def test_a_rule_of_which_nothing_is_on_record_has_an_empty_status(table: RuleTable) -> None:
    add_rules(table, NAME)
    assert table.find_status(NAME) == RuleStatus()
    assert table.statuses() == {}


def test_run_copies_and_block_are_written_independently(tables: Tables) -> None:
    add_rules(tables.rules, NAME)
    report = make_report()
    tables.rules.record_block(NAME, BLOCK)
    tables.runs.record_run(NAME, report, KEPT)
    expected = RuleStatus(replace(report, outcomes=()), KEPT, BLOCK)
    assert tables.rules.find_status(NAME) == expected
    assert tables.rules.statuses() == {NAME: expected}
    tables.rules.record_block(NAME, None)
    tables.runs.record_run(NAME, make_report("run-2"))
    assert tables.rules.find_status(NAME) == RuleStatus(replace(make_report("run-2"), outcomes=()), KEPT, None)


def test_a_block_replaces_the_one_before_and_is_lifted_for_good(table: RuleTable) -> None:
    add_rules(table, NAME)
    for block in (BLOCK, replace(BLOCK, code="InstanceNotFound")):
        table.record_block(NAME, block)
        assert table.find_status(NAME).block == block
    for _ in range(2):
        table.record_block(NAME, None)
        assert table.statuses() == {}


# What was sent


def test_what_was_sent_is_kept_by_rule_and_schedule(table: RuleTable) -> None:
    table.record_sent_schedules(NAME, SENT)
    other = {"other": SENT[NAME]}
    table.record_sent_schedules("other", other)
    assert table.find_sent_schedules(NAME) == SENT
    assert table.find_sent_schedules("third") == {}
    assert table.sent_schedules() == {NAME: SENT, "other": other}


def test_what_is_sent_takes_the_place_of_what_was_sent(table: RuleTable) -> None:
    table.record_sent_schedules(NAME, SENT)
    table.record_sent_schedules(NAME, {NAME: SENT[NAME]})
    assert table.sent_schedules() == {NAME: {NAME: SENT[NAME]}}
    for _ in range(2):
        table.record_sent_schedules(NAME, {})
        assert table.sent_schedules() == {}


def test_a_time_of_another_zone_is_the_same_moment_again(table: RuleTable) -> None:
    elsewhere = SENT[NAME].modified_at.astimezone(timezone(timedelta(hours=9)))
    table.record_sent_schedules(NAME, {NAME: replace(SENT[NAME], modified_at=elsewhere)})
    assert table.find_sent_schedules(NAME) == {NAME: SENT[NAME]}


# Deletions


def test_a_removed_rule_is_gone_with_all_that_was_on_record_and_others_stay(tables: Tables) -> None:
    for name in (NAME, "orders"):
        add_rules(tables.rules, name)
        tables.runs.take_lease(name, "run-1", None, NOW)
        tables.runs.record_run(name, make_report(), KEPT)
        tables.runs.remember_uploads(name, [Upload("key", "id")])
        tables.runs.count_attempt(name, "transfer", 0)
        tables.rules.record_block(name, BLOCK)
        tables.rules.record_sent_schedules(name, SENT)
    for _ in range(2):
        tables.rules.remove_rule(NAME, 1, DELETION)
    assert [rule.name for rule in tables.rules.rules()] == ["orders"]
    assert list(tables.rules.statuses()) == list(tables.rules.sent_schedules()) == ["orders"]
    expectations = ((NAME, (None, (), [], 1)), ("orders", ("run-1", (make_report(),), [Upload("key", "id")], 2)))
    for name, expected in expectations:
        assert tables.runs.find_lease_owner(name) == expected[0]
        assert tables.runs.history(name, "", 5).runs == expected[1]
        assert tables.runs.remembered_uploads(name) == expected[2]
        assert tables.runs.count_attempt(name, "transfer", 0) == expected[3]


def test_a_deletion_is_on_record_as_it_was_and_the_first_one_stays(table: RuleTable) -> None:
    add_rules(table, NAME, "other")
    assert table.find_deletion(NAME) is None
    table.remove_rule(NAME, 1, DELETION)
    table.remove_rule(NAME, 1, {"another": "answer"})
    assert table.find_deletion(NAME) == DELETION
    assert table.deletions() == [NAME]
    assert table.find_deletion("other") is None


def test_a_deletion_is_on_record_for_thirty_days(tables: Tables) -> None:
    add_rules(tables.rules, NAME)
    tables.rules.remove_rule(NAME, 1, DELETION)
    tables.clock.advance(30 * DAY_S)
    assert tables.rules.find_deletion(NAME) == DELETION
    assert tables.rules.deletions() == [NAME]
    tables.clock.advance(1)
    assert tables.rules.find_deletion(NAME) is None, "DynamoDB removes it late; it counts as gone"
    assert tables.rules.deletions() == []


def test_a_deletion_that_has_expired_gives_way_to_the_next(tables: Tables) -> None:
    tables.rules.remove_rule(NAME, 1, DELETION)
    tables.clock.advance(31 * DAY_S)
    tables.rules.remove_rule(NAME, 1, {"another": "answer"})
    assert tables.rules.find_deletion(NAME) == {"another": "answer"}


def test_a_new_rule_begins_without_what_one_of_its_name_left(tables: Tables) -> None:
    add_rules(tables.rules, NAME)
    tables.rules.remove_rule(NAME, 1, DELETION)
    # Written by somebody who had not heard that the rule was gone.
    tables.rules.record_block(NAME, BLOCK)
    tables.rules.record_sent_schedules(NAME, SENT)
    add_rules(tables.rules, NAME)
    assert tables.rules.find_status(NAME) == RuleStatus()
    assert tables.rules.sent_schedules() == {}
    assert tables.rules.find_deletion(NAME) is None
    assert tables.rules.deletions() == []


def test_a_rule_that_could_not_be_made_strikes_nothing_off(table: RuleTable) -> None:
    add_rules(table, NAME)
    table.remove_rule(NAME, 1, DELETION)
    stale = table.registry_revision()
    add_rules(table, "other")
    with pytest.raises(RuleBusy):
        table.create_rule(make_rule(), stale)
    assert table.find_deletion(NAME) == DELETION


def test_a_rule_made_since_under_the_same_name_stays_with_what_is_its_own(tables: Tables) -> None:
    tables.rules.create_rule(make_rule(NAME, revision=4), 0)
    tables.rules.record_block(NAME, Block("BackupsDisabled", "They are off."))
    tables.rules.remove_rule(NAME, 3, DELETION)
    there = tables.rules.find_rule(NAME)
    assert there is not None and there.revision == 4
    assert tables.rules.find_status(NAME).block is not None
    assert tables.rules.find_deletion(NAME) is None


def test_the_end_of_the_fleet_is_on_record_until_it_is_taken_back(table: RuleTable) -> None:
    assert not table.fleet_has_ended()
    table.record_fleet_end(ended=True)
    assert table.fleet_has_ended()
    table.record_fleet_end(ended=False)
    assert not table.fleet_has_ended()
