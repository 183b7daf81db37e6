"""What somebody deletes or changes behind the stack's back is put right and told, hourly and on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.demo.world import STACK, World
from tests.end_to_end.asking import Answer, ask, make_rules, reconcile, send, show, told
from tests.end_to_end.by_hand import (
    ago,
    change_schedule,
    key,
    make_older,
    put_row,
    read_row,
    refused_on_purpose,
    remove_row,
    wait_until,
    write_into_rule,
)
from tests.local_cloud.alarm_states import alarm_state
from tests.local_cloud.metrics import Datapoint

FUNCTION, LOG_GROUP = f"{STACK}-rule-first", f"/aws/lambda/{STACK}-rule-first"
ALARM = f"{FUNCTION}-overdue"
RECONCILING_LOG = f"/aws/lambda/{STACK}-reconcile-rules"


@pytest.fixture(scope="module", autouse=True)
def rules(world: World) -> None:
    """Two rules, each over an instance that has made no backup for five days."""
    make_rules(world, "first", "second")
    for name in ("first", "second"):
        taken_at = datetime.now(UTC) - timedelta(days=5)
        world.cloud.elasticache.take_manual_backup(f"five-days-old-{name}", name, taken_at)


@pytest.fixture(autouse=True)
def settled(world: World) -> Iterator[None]:
    """Each test leaves a fleet in which nothing is to be found, however closely it is looked at."""
    yield
    answer = reconcile(world, closely=True)
    assert (answer["repairs"], answer["reports"], answer["failures"]) == ([], [], [])


def log_lines(world: World) -> list[dict[str, str]]:
    pages = world.cloud.client("logs").get_paginator("filter_log_events").paginate(logGroupName=RECONCILING_LOG)
    lines = (json.loads(event["message"]) for page in pages for event in page["events"])
    return [line for line in lines if "event" in line]


def wait_for_the_hour(world: World) -> list[dict[str, str]]:
    """Fire the stack's own timer, and return what its function logs then."""
    before = len(log_lines(world))
    assert world.cloud.fire("default", f"{STACK}-reconcile") == ""
    world.cloud.functions.wait_until_idle(f"{STACK}-reconcile-rules")
    lines = log_lines(world)[before:]
    assert lines[-1]["event"] == "Reconciled"
    return lines


def repairs(lines: list[dict[str, str]]) -> list[tuple[str, str, str]]:
    return sorted((line["rule"], line["event"], line["target"]) for line in lines if "target" in line)


def everything(world: World) -> list[str]:
    """All that reconciling could change, less the times at which things were changed, or vaults looked at."""
    cloud = world.cloud
    rows = cloud.client("dynamodb").scan(TableName=world.deployment.resources["Table"])["Items"]
    rows = [row for row in rows if row["pk"] != {"S": "probes"}]
    functions = [
        cloud.client("lambda").get_function_configuration(FunctionName=name) for name in world.function_names()
    ]
    settings = [{**one, "ResponseMetadata": None} for one in functions]
    alarms = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    groups = cloud.client("logs").describe_log_groups()["logGroups"]
    kept = [(group["logGroupName"], group.get("retentionInDays")) for group in groups]
    return sorted(map(str, [*rows, *settings, *alarms, *kept, *world.schedule_names()]))


# What was deleted or changed


def test_what_was_deleted_is_made_again_by_the_hourly_timer_and_works(world: World) -> None:
    cloud = world.cloud
    cloud.client("lambda").delete_function(FunctionName=FUNCTION)
    cloud.client("scheduler").delete_schedule(GroupName=STACK, Name="first")
    cloud.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])
    cloud.client("logs").delete_log_group(logGroupName=LOG_GROUP)
    assert repairs(wait_for_the_hour(world)) == [
        ("first", "AlarmMade", ALARM),
        ("first", "FunctionMade", FUNCTION),
        ("first", "LogGroupMade", LOG_GROUP),
        ("first", "ScheduleMade", "first"),
        ("first", "VersionReleased", FUNCTION),
    ]
    assert repairs(wait_for_the_hour(world)) == []
    assert world.fire("first") == "SUCCEEDED"
    assert any("first: 1 backup found" in event["message"] for event in world.log_events("first"))


def test_what_was_changed_is_put_right_by_the_hourly_timer(world: World) -> None:
    cloud, functions = world.cloud, world.cloud.client("lambda")
    before = functions.get_function_configuration(FunctionName=FUNCTION)
    functions.update_function_configuration(
        FunctionName=FUNCTION, MemorySize=512, Environment={"Variables": {"RDBKEEPER_RULE": "second"}}
    )
    change_schedule(world, "first", ScheduleExpression="cron(0 0 1 1 ? *)")
    change_schedule(world, "second", State="DISABLED")
    alarm = find_alarm(world, ALARM)
    cloud.client("cloudwatch").put_metric_alarm(**settings_of(alarm) | {"Threshold": 1000.0})
    cloud.client("logs").delete_retention_policy(logGroupName=LOG_GROUP)
    lines = wait_for_the_hour(world)
    assert repairs(lines) == [
        ("first", "AlarmPutRight", ALARM),
        ("first", "FunctionUpdated", FUNCTION),
        ("first", "LogRetentionSet", LOG_GROUP),
        ("first", "SchedulePutRight", "first"),
        ("first", "VersionReleased", FUNCTION),
        ("second", "SchedulePutRight", "second"),
    ]
    (update,) = [line["message"] for line in lines if line["event"] == "FunctionUpdated"]
    assert "memory mb" in update and "environment" in update

    after = functions.get_function_configuration(FunctionName=FUNCTION, Qualifier="live")
    assert (after["MemorySize"], after["Environment"]) == (before["MemorySize"], before["Environment"])
    schedules = [cloud.client("scheduler").get_schedule(GroupName=STACK, Name=name) for name in ("first", "second")]
    assert [(one["ScheduleExpression"], one["State"]) for one in schedules] == [("cron(30 2 * * ? *)", "ENABLED")] * 2
    assert settings_of(find_alarm(world, ALARM)) == settings_of(alarm)
    (group,) = cloud.client("logs").describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    assert group["retentionInDays"] == 90
    assert repairs(wait_for_the_hour(world)) == []


def find_alarm(world: World, name: str) -> dict[str, Any]:
    (alarm,) = world.cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    found: dict[str, Any] = alarm
    return found


def settings_of(alarm: dict[str, Any]) -> dict[str, Any]:
    """What an alarm was made from."""
    left_out = ("AlarmArn", "AlarmConfigurationUpdatedTimestamp", "StateTransitionedTimestamp")
    return {
        name: value for name, value in alarm.items() if name not in left_out and not name.startswith("State") and value
    }


def test_an_alias_that_was_deleted_is_found_by_looking_closely(world: World) -> None:
    world.cloud.client("lambda").delete_alias(FunctionName=FUNCTION, Name="live")
    assert reconcile(world)["repairs"] == []
    assert told(reconcile(world, closely=True)["repairs"], "first") == [("AliasMoved", FUNCTION)]
    alias = world.cloud.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")
    assert alias["FunctionVersion"] != "$LATEST"


def test_an_alias_that_was_deleted_is_found_in_the_hour_after_its_rule_did_not_fire(world: World) -> None:
    world.cloud.client("lambda").delete_alias(FunctionName=f"{STACK}-rule-second", Name="live")
    assert repairs(wait_for_the_hour(world)) == []
    make_older(world, "second", days=2)
    lines = wait_for_the_hour(world)
    assert ("second", "AliasMoved", f"{STACK}-rule-second") in repairs(lines)
    # What had not begun is caught up, and the rule counts as blocked until it has begun.
    assert "RunCaughtUp" in [line["event"] for line in lines]
    wait_until(lambda: has_run(world, "second"), "the run that was caught up")
    assert show(world, "second")["state"] == "active"


def has_run(world: World, rule: str) -> bool:
    last_run = show(world, rule)["last_run"]
    return bool(last_run and last_run["state"] == "succeeded")


def test_a_dry_run_names_what_would_be_done_and_does_nothing(world: World) -> None:
    world.cloud.client("scheduler").delete_schedule(GroupName=STACK, Name="first")
    world.cloud.client("logs").delete_log_group(logGroupName=LOG_GROUP)
    before, measured = everything(world), len(world.cloud.metrics(RECONCILING_LOG))
    announced = reconcile(world, dry_run=True)["would_change"]
    assert told(announced, "first") == [("LogGroupMade", LOG_GROUP), ("ScheduleMade", "first")]
    assert (everything(world), len(world.cloud.metrics(RECONCILING_LOG))) == (before, measured)
    assert reconcile(world)["repairs"] == announced


# What was cut off, and what nobody can explain


def test_what_carries_the_stack_s_tags_and_has_no_rule_is_reported_and_kept(world: World) -> None:
    row = read_row(world, "rules", "second")
    assert row is not None
    remove_row(world, "rules", "second")
    before = everything(world)
    answer = reconcile(world, closely=True)
    assert told(answer["reports"], "second") == [
        ("AlarmWithoutRule", f"{STACK}-rule-second-overdue"),
        ("FunctionWithoutRule", f"{STACK}-rule-second"),
        ("ScheduleWithoutRule", "second"),
    ]
    assert (answer["checked"], answer["repairs"], everything(world)) == (1, [], before)
    put_row(world, row)


def test_a_create_and_a_delete_that_were_cut_off_are_finished(world: World) -> None:
    row = read_row(world, "rules", "first")
    assert row is not None
    row["sk"] = row["rule"]["M"]["name"] = {"S": "half-made"}
    row["rule"]["M"] |= {"prefix": {"S": "half-made/"}, "state": {"S": "creating"}, "revision": {"N": "1"}}
    # A create that was begun just now may still be going.
    row["rule"]["M"]["created_at"] = {"S": ago(hours=1)}
    put_row(world, row)
    made = told(reconcile(world)["repairs"], "half-made")
    assert ("CreateFinished", "half-made") in made and ("FunctionMade", f"{STACK}-rule-half-made") in made
    assert show(world, "half-made")["state"] == "active"

    upload = {"Bucket": world.vault_bucket, "Key": "half-made/first/left-open.rdb"}
    upload_id = world.cloud.client("s3").create_multipart_upload(**upload)["UploadId"]
    put_row(world, open_upload("half-made", upload["Key"], upload_id))
    put_row(world, {**key("rule#half-made", "lease"), "owner": {"S": "a run that was killed"}})
    write_into_rule(world, "half-made", state="deleting")
    assert told(reconcile(world)["repairs"], "half-made") == [
        ("AlarmRemoved", f"{STACK}-rule-half-made-overdue"),
        ("DeletionFinished", "half-made"),
        ("FunctionRemoved", f"{STACK}-rule-half-made"),
        ("ScheduleRemoved", "half-made"),
    ]
    assert ask(world, {"action": "get", "name": "half-made"})["error"]["code"] == "RuleNotFound"
    assert read_row(world, "rule#half-made", "lease") is None
    assert "Uploads" not in world.cloud.client("s3").list_multipart_uploads(Bucket=world.vault_bucket)
    assert send(world, "delete", "half-made")["copies_stay_at"]["path"] == "half-made/first/"


def open_upload(rule: str, object_key: str, upload_id: str) -> Answer:
    """The row by which a run remembers an upload that it has opened."""
    row = key(f"rule#{rule}", f"upload#{object_key}#{upload_id}")
    return {**row, "key": {"S": object_key}, "upload_id": {"S": upload_id}}


# What alarms read


def test_every_alarm_reads_a_metric_that_reconciling_writes(world: World) -> None:
    reconcile(world)
    points = world.cloud.metrics(RECONCILING_LOG)
    alarms = world.cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 4
    unread = [alarm["AlarmName"] for alarm in alarms if not any(is_read_by(alarm, point) for point in points)]
    assert unread == []


def is_read_by(alarm: Answer, point: Datapoint) -> bool:
    dimensions = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
    return point.belongs_to(alarm["Namespace"], alarm["MetricName"], dimensions)


def test_the_alarm_of_a_rule_rings_when_its_newest_copy_is_old_or_nobody_looks(world: World) -> None:
    assert world.fire("second") == "SUCCEEDED"
    write_into_rule(world, "second", watched_since=ago(days=10))
    shown = show(world, "second")
    assert (shown["state"], "five-days-old-second" in shown["newest_copy"]) == ("overdue", True)
    assert show(world, "first")["state"] == "active"

    reconcile(world)
    points = as_if_hourly(world.cloud.metrics(RECONCILING_LOG))
    fresh, overdue = find_alarm(world, ALARM), find_alarm(world, f"{STACK}-rule-second-overdue")
    assert alarm_state(overdue, points, a_minute_later()) == "ALARM"
    assert alarm_state(fresh, points, a_minute_later()) == "OK"
    assert alarm_state(fresh, points, a_minute_later() + timedelta(hours=6)) == "ALARM"
    assert alarm_state(fresh, [], a_minute_later()) == "ALARM"


def test_the_alarm_of_a_new_rule_tells_nobody_until_somebody_has_looked_for_hours(world: World) -> None:
    write_into_rule(world, "first", created_at=ago())
    reconcile(world)
    assert find_alarm(world, ALARM)["AlarmActions"] == []
    write_into_rule(world, "first", created_at=ago(hours=4))
    assert told(reconcile(world)["repairs"], "first") == [("AlarmSwitchedOn", ALARM)]
    assert find_alarm(world, ALARM)["AlarmActions"] == [world.deployment.resources["AlarmTopic"]]
    world.cloud.client("cloudwatch").disable_alarm_actions(AlarmNames=[ALARM])
    assert told(reconcile(world)["repairs"], "first") == [("AlarmSwitchedOn", ALARM)]


def test_the_alarm_of_the_stack_rings_when_nobody_reconciles(world: World) -> None:
    reconcile(world)
    silent = find_alarm(world, world.deployment.resources["ReconcileSilentAlarm"])
    points = world.cloud.metrics(RECONCILING_LOG)
    assert alarm_state(silent, points, a_minute_later()) == "OK"
    assert alarm_state(silent, points, a_minute_later() + timedelta(hours=6)) == "ALARM"
    assert alarm_state(silent, [], a_minute_later()) == "ALARM"


def test_the_alarm_of_frozen_writes_rings_while_nobody_can_thaw_them(world: World) -> None:
    moments = {"since": {"S": ago(hours=1)}, "until": {"S": ago(minutes=50)}, "late_until": {"NULL": True}}
    texts = {"thaw": "let-go-on", "instance": "first", "execution": "killed", "provider": "elasticache"}
    freeze = {**moments, **{name: {"S": text} for name, text in texts.items()}}
    put_row(world, {**key("freezes", "first"), "freeze": {"M": freeze}})
    alarm = find_alarm(world, world.deployment.resources["WritesStillFrozenAlarm"])

    with refused_on_purpose():  # no hook of that name is allowed here
        answer = reconcile(world)
    assert [failure["rule"] for failure in answer["failures"]] == ["first"]
    assert show(world, "first")["still_frozen"]["thaw"] == "let-go-on"
    assert alarm_state(alarm, world.cloud.metrics(RECONCILING_LOG), a_minute_later()) == "ALARM"

    remove_row(world, "freezes", "first")
    reconcile(world)
    assert show(world, "first")["still_frozen"] is None
    points = as_if_hourly(world.cloud.metrics(RECONCILING_LOG))
    assert alarm_state(alarm, points, a_minute_later()) == "OK"


def a_minute_later() -> datetime:
    """When what was measured just now is seen: CloudWatch looks at whole minutes."""
    return datetime.now(UTC) + timedelta(minutes=1)


def as_if_hourly(points: list[Datapoint]) -> list[Datapoint]:
    """The newest value of each metric, as if it had been the same in the three hours before."""
    newest = {(point.name, *sorted(point.dimensions.items())): point for point in points}
    return [
        replace(point, timestamp_ms=point.timestamp_ms - hours * 3_600_000)
        for point in newest.values()
        for hours in range(4)
    ]
