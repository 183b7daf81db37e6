"""What every run table keeps, in memory and in DynamoDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.stub import ANY, Stubber

from rdbkeeper.aws.run_table import CUT_SHORT, LARGEST_REPORT_BYTES, DynamoRunTable
from rdbkeeper.domain.errors import LeaseLost
from rdbkeeper.domain.status import KeptCopies, RunReport, RunState
from rdbkeeper.ports import RunTable, Upload
from tests.contract.table_lab import (
    DAY_S,
    NOW,
    DynamoTable,
    Tables,
    add_rules,
    dynamodb,
    make_outcome,
    make_report,
    tables,
    unconnected_client,
)
from tests.fakes.clock import FakeClock

__all__ = ["dynamodb", "tables"]


@pytest.fixture
def table(tables: Tables) -> RunTable:
    add_rules(tables.rules, "r", "s")
    return tables.runs


def runs(table: RunTable, before: str = "", limit: int = 100) -> list[str]:
    return [report.run for report in table.history("r", before, limit).runs]


# Leases


def test_one_run_at_a_time_holds_the_lease(table: RunTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert not table.take_lease("r", "run-2", None, NOW)
    assert table.find_lease_owner("r") == "run-1"


def test_a_lease_taken_twice_by_its_owner_is_taken_once(table: RunTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert table.take_lease("r", "run-1", None, NOW)


def test_a_lease_is_taken_over_only_from_whom_was_named(table: RunTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    assert not table.take_lease("r", "run-3", "run-2", NOW)
    assert table.take_lease("r", "run-2", "run-1", NOW)
    assert table.find_lease_owner("r") == "run-2"


def test_leases_of_other_rules_are_others(table: RunTable) -> None:
    assert table.take_lease("r", "run-1", None, NOW)
    assert table.take_lease("s", "run-2", None, NOW)


@pytest.mark.parametrize("lose", [lambda table: table.take_lease("r", "run-2", "run-1", NOW), lambda table: None])
def test_a_lease_that_is_not_held_cannot_be_renewed(table: RunTable, lose: Callable[[RunTable], object]) -> None:
    if lose(table):
        table.take_lease("r", "run-2", "run-1", NOW)
    with pytest.raises(LeaseLost):
        table.renew_lease("r", "run-1", NOW)


def test_a_lease_that_is_held_is_renewed_and_freed(table: RunTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    table.renew_lease("r", "run-1", NOW)
    table.free_lease("r", "run-1")
    assert table.find_lease_owner("r") is None


def test_anothers_lease_is_not_freed(table: RunTable) -> None:
    table.take_lease("r", "run-1", None, NOW)
    table.free_lease("r", "run-2")
    assert table.find_lease_owner("r") == "run-1"


# Runs


def test_a_run_is_in_the_history_as_it_was(table: RunTable) -> None:
    failed = make_outcome("b2", detail="It is damaged: ü", seconds=0.0)
    report = make_report(outcomes=(make_outcome(), failed), ended_at=NOW + timedelta(minutes=2), state=RunState.FAILED)
    table.record_run("r", report)
    (found,) = table.history("r", "", 1).runs
    assert found == report
    assert [type(outcome.seconds) for outcome in found.outcomes] == [float, float]
    assert [type(outcome.size_bytes) for outcome in found.outcomes] == [int, int]


def test_a_run_put_down_twice_is_one_run_with_its_last_report(table: RunTable) -> None:
    begun = NOW + timedelta(microseconds=250_000)  # whoever reads it back from the record has whole seconds
    table.record_run("r", RunReport("run-1", begun, RunState.GOING))
    table.record_run("r", make_report("run-1"))
    assert table.history("r", "", 5).runs == (make_report("run-1"),)


def test_history_is_newest_first_and_another_rules_is_its_own(table: RunTable) -> None:
    for run, hours_ago in (("b", 2.0), ("c", 1.0), ("a", 3.0)):
        table.record_run("r", make_report(run, hours_ago))
    table.record_run("s", make_report("other"))
    table.take_lease("r", "c", None, NOW)
    table.remember_uploads("r", [Upload("key", "id")])
    assert runs(table) == ["c", "b", "a"]


def test_runs_that_began_at_one_moment_are_kept_apart(table: RunTable) -> None:
    for run in ("a", "b", "c"):
        table.record_run("r", make_report(run))
    first = table.history("r", "", 2)
    assert [report.run for report in first.runs] == ["c", "b"]
    assert runs(table, first.next_before) == ["a"]


def test_pages_of_history_follow_each_other_and_say_when_they_end(table: RunTable) -> None:
    for number in range(6):
        table.record_run("r", make_report(f"run-{number}", hours_ago=number))
    seen, before = [], ""
    for _ in range(2):
        page = table.history("r", before, 3)
        seen += [report.run for report in page.runs]
        before = page.next_before
    assert seen == [f"run-{number}" for number in range(6)]
    assert before == "", "a page that is exactly full and the last one"
    assert table.history("nothing", "", 3).runs == ()


def test_a_page_goes_on_though_newer_runs_were_added_meanwhile(table: RunTable) -> None:
    for number in range(4):
        table.record_run("r", make_report(f"run-{number}", hours_ago=number))
    before = table.history("r", "", 2).next_before
    table.record_run("r", make_report("newer", hours_ago=-1))
    assert runs(table, before) == ["run-2", "run-3"]


@pytest.mark.parametrize("before", ["2001-01-01T00:00:00+00:00#run-1", "#", "!"])
def test_going_on_from_before_all_that_is_kept_is_the_end(table: RunTable, before: str) -> None:
    table.record_run("r", make_report())
    page = table.history("r", before, 5)
    assert (page.runs, page.next_before) == ((), "")


def test_history_is_kept_for_four_hundred_days(tables: Tables) -> None:
    add_rules(tables.rules, "r")
    tables.runs.record_run("r", make_report())
    tables.clock.advance(400 * DAY_S)
    assert runs(tables.runs) == ["run-1"]
    tables.clock.advance(1)
    assert runs(tables.runs) == [], "DynamoDB removes it late; it counts as gone"


def test_a_run_of_a_rule_that_is_gone_is_not_put_down(tables: Tables) -> None:
    add_rules(tables.rules, "r")
    tables.rules.remove_rule("r", 1, {})
    tables.runs.record_run("r", make_report(), KeptCopies("copy", NOW))
    assert tables.rules.statuses() == {}
    add_rules(tables.rules, "r")
    assert runs(tables.runs) == []


def test_a_run_that_reports_late_does_not_hide_the_one_that_took_over(tables: Tables) -> None:
    add_rules(tables.rules, "r")
    kept = KeptCopies("copy", NOW)
    tables.runs.record_run("r", make_report("new", state=RunState.GOING))
    tables.runs.record_run("r", make_report("old", hours_ago=1), kept)
    status = tables.rules.find_status("r")
    assert status.last_run == replace(make_report("new", state=RunState.GOING), outcomes=())
    assert status.kept == kept, "what it saw in the vault is true all the same"
    assert runs(tables.runs) == ["new", "old"]


# Uploads and attempts


def test_open_uploads_are_remembered_until_they_are_forgotten(table: RunTable) -> None:
    uploads = [Upload(f"orders/{n}.rdb", f"id-{n}") for n in range(3)]
    table.remember_uploads("r", uploads)
    table.remember_uploads("r", uploads[:1])
    table.remember_uploads("s", [Upload("other", "id")])
    assert table.remembered_uploads("r") == uploads
    table.forget_uploads("r", uploads[1:])
    table.forget_uploads("r", uploads[1:])
    assert table.remembered_uploads("r") == uploads[:1]


def test_attempts_at_a_leg_are_counted_and_the_next_leg_begins_anew(table: RunTable) -> None:
    assert [table.count_attempt("r", "t", 0), table.count_attempt("r", "t", 0)] == [1, 2]
    assert table.count_attempt("r", "other", 0) == 1
    assert [table.count_attempt("r", "t", 7), table.count_attempt("r", "t", 7)] == [1, 2]
    for forget in (table.forget_attempts, table.forget_attempts):
        forget("r", "t")
    assert table.count_attempt("r", "t", 7) == 1


def test_all_attempts_of_a_rule_are_forgotten_at_once_and_no_others(table: RunTable) -> None:
    for rule, transfer in (("r", "a"), ("r", "b"), ("s", "a")):
        table.count_attempt(rule, transfer, 0)
    table.forget_all_attempts("r")
    assert [table.count_attempt("r", name, 0) for name in ("a", "b")] == [1, 1]
    assert table.count_attempt("s", "a", 0) == 2
    table.forget_all_attempts("nobody")


# What only DynamoDB has


def test_details_too_long_for_an_item_are_cut_short_and_say_so(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add_rules(tables.rules, "r")
    outcomes = tuple(make_outcome(f"b{number}", detail="ü" * 20_000) for number in range(60))
    short = make_outcome("short", detail="whole")
    tables.runs.record_run("r", make_report(outcomes=(*outcomes, short)))
    (item,) = dynamodb.client.query(
        TableName=dynamodb.name,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :run)",
        ExpressionAttributeValues={":pk": {"S": "rule#r"}, ":run": {"S": "run#"}},
    )["Items"]
    assert len(str(item).encode()) < 400_000
    (report,) = tables.runs.history("r", "", 1).runs
    assert len(report.outcomes) == 61
    assert report.outcomes[-1] == short
    for outcome in report.outcomes[:-1]:
        assert outcome.detail.startswith("ü" * 1000) and outcome.detail.endswith(CUT_SHORT)


def test_a_check_is_known_by_its_copy_and_rule(table: RunTable) -> None:
    assert table.checks("r") == {}
    table.record_check("r", "one", NOW)
    table.record_check("r", "two", NOW - timedelta(days=400))
    table.record_check("s", "one", NOW - timedelta(days=1))
    assert table.checks("r") == {"one": NOW, "two": NOW - timedelta(days=400)}
    assert table.checks("s") == {"one": NOW - timedelta(days=1)}


def test_the_last_check_of_a_copy_counts(table: RunTable) -> None:
    table.record_check("r", "one", NOW - timedelta(days=1))
    table.record_check("r", "one", NOW)
    assert table.checks("r") == {"one": NOW}


def test_checks_of_copies_that_are_gone_are_struck_off_however_many(table: RunTable) -> None:
    copies = [f"20261120T0215{number:02}Z-automatic.orders" for number in range(60)]
    for copy_id in copies:
        table.record_check("r", copy_id, NOW)
    table.record_check("s", copies[0], NOW)
    table.forget_checks("r", [*copies[1:], "never-checked"])
    assert table.checks("r") == {copies[0]: NOW}
    table.forget_checks("r", [])
    assert table.checks("s") == {copies[0]: NOW}


def test_checks_go_with_their_rule(tables: Tables) -> None:
    add_rules(tables.rules, "r", "s")
    for rule in ("r", "s"):
        tables.runs.record_check(rule, "one", NOW)
    tables.rules.remove_rule("r", 1, {})
    assert (tables.runs.checks("r"), tables.runs.checks("s")) == ({}, {"one": NOW})


def test_a_report_that_fits_is_kept_whole(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add_rules(tables.rules, "r")
    report = make_report(outcomes=(make_outcome(detail="x" * (LARGEST_REPORT_BYTES - 2000)),))
    tables.runs.record_run("r", report)
    assert tables.runs.history("r", "", 1).runs == (report,)


def test_a_page_larger_than_dynamodb_reads_at_once_goes_on_where_it_was_cut_off(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add_rules(tables.rules, "r")
    for number in range(9):
        tables.runs.record_run("r", make_report(f"run-{number}", hours_ago=number, line="x" * 250_000))
    seen, before, pages = [], "", 0
    while pages == 0 or before:
        page = tables.runs.history("r", before, 100)
        seen += [report.run for report in page.runs]
        before, pages = page.next_before, pages + 1
    assert seen == [f"run-{number}" for number in range(9)]
    assert pages > 1


def test_a_range_that_ends_before_it_begins_is_not_asked_for() -> None:
    client = unconnected_client()
    with Stubber(client):  # DynamoDB refuses it, and moto does not
        page = DynamoRunTable(client, "table", FakeClock(NOW)).history("r", "2001-01-01T00:00:00+00:00#run-1", 5)
    assert page.runs == ()


def test_what_expires_says_when(dynamodb: DynamoTable) -> None:
    tables = dynamodb.tables()
    add_rules(tables.rules, "r", "gone")
    tables.runs.record_run("r", make_report(hours_ago=24))
    tables.rules.remove_rule("gone", 1, {})
    items = dynamodb.client.scan(TableName=dynamodb.name)["Items"]
    expiries = {item["pk"]["S"]: int(item["expires_at"]["N"]) for item in items if "expires_at" in item}
    now_s = int(NOW.timestamp())
    assert expiries == {"rule#r": now_s + 399 * DAY_S, "deleted": now_s + 30 * DAY_S}


def test_every_single_read_is_consistent() -> None:
    client = unconnected_client()
    table = DynamoRunTable(client, "table", FakeClock(NOW))
    asked = {
        "TableName": "table",
        "ConsistentRead": True,
        "KeyConditionExpression": ANY,
        "ExpressionAttributeValues": ANY,
    }
    with Stubber(client) as stub:
        stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
        assert table.find_lease_owner("r") is None
        stub.add_response("get_item", {}, {"TableName": "table", "Key": ANY, "ConsistentRead": True})
        table.record_run("r", make_report())
        stub.add_response("query", {"Items": []}, asked)
        assert table.remembered_uploads("r") == []
        stub.add_response("query", {"Items": []}, {**asked, "Limit": 6, "ScanIndexForward": False})
        assert table.history("r", "", 5).runs == ()
        stub.assert_no_pending_responses()
