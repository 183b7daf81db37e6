"""The stand-in for EventBridge Scheduler refuses what the service refuses ("EventBridge Scheduler API reference")."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError

from tests.contract.guarded_server import ACCOUNT_ID, guarded
from tests.local_cloud.cron_evaluator import CronError, fire_times, parse_cron
from tests.local_cloud.scheduler_guard import SchedulerGuard

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:stack-rule-orders"
DAILY = "cron(30 2 * * ? *)"


NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Callable[..., Any]]:
    guard = SchedulerGuard(
        now=lambda: NOW,
        is_durable=lambda name: name == "stack-rule-orders",
        target_exists=lambda name, qualifier: name == "stack-rule-orders" and qualifier in (None, "live", "1"),
    )
    with guarded({"scheduler": guard}) as client:
        yield client


@pytest.fixture(scope="module")
def scheduler(cloud: Callable[..., Any]) -> Any:
    return cloud("scheduler")


@pytest.fixture
def group(scheduler: Any) -> str:
    name = f"group-{uuid.uuid4()}"
    scheduler.create_schedule_group(Name=name)
    return name


@pytest.fixture
def role(cloud: Callable[..., Any], group: str) -> str:
    return make_role(cloud, {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID, "aws:SourceArn": group_arn(group)}})


def group_arn(group: str) -> str:
    return f"arn:aws:scheduler:us-east-1:{ACCOUNT_ID}:schedule-group/{group}"


def make_role(
    cloud: Callable[..., Any],
    condition: dict[str, Any],
    invokes: str = f"{FUNCTION[:-6]}*:live",
    service: str = "scheduler",
) -> str:
    iam = cloud("iam")
    name = f"role-{uuid.uuid4()}"
    principal = {"Service": f"{service}.amazonaws.com"}
    trust = [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition}]
    document = {"Version": "2012-10-17", "Statement": trust}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    allowed = [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": invokes}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_role_policy(RoleName=name, PolicyName="invoke", PolicyDocument=policy)
    return arn


def a_schedule(group: str, role: str, **changes: Any) -> dict[str, Any]:
    target = {"Arn": f"{FUNCTION}:live", "RoleArn": role, "Input": '{"at": "<aws.scheduler.scheduled-time>"}'}
    schedule = {
        "Name": "orders",
        "GroupName": group,
        "ScheduleExpression": DAILY,
        "ScheduleExpressionTimezone": "Asia/Tokyo",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {**target, **changes.pop("target", {})},
    }
    return {**schedule, **changes}


def refused(call: Callable[..., Any], code: str, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_a_good_schedule_is_kept_as_sent(scheduler: Any, group: str, role: str) -> None:
    scheduler.create_schedule(**a_schedule(group, role))
    kept = scheduler.get_schedule(GroupName=group, Name="orders")
    assert (kept["ScheduleExpression"], kept["ScheduleExpressionTimezone"]) == (DAILY, "Asia/Tokyo")
    assert kept["State"] == "ENABLED"
    assert kept["Target"]["Arn"] == f"{FUNCTION}:live"


@pytest.mark.parametrize(
    "change",
    [
        {"Name": "n" * 65},
        {"Name": "with space"},
        {"ScheduleExpressionTimezone": "Mars/Base"},
        {"ScheduleExpressionTimezone": "localtime"},
        {"ScheduleExpressionTimezone": "z" * 51},
        {"State": "PAUSED"},
        {"Description": "d" * 513},
        {"ClientToken": "no spaces"},
        {"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}},
        {"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}},
        {"ScheduleExpression": "hello"},
        {"ScheduleExpression": "rate(0 minutes)"},
        {"ScheduleExpression": "rate(5 minute)"},
        {"ScheduleExpression": "rate(5 weeks)"},
        {"ScheduleExpression": "at(2026-13-01T00:00:00)"},
        {"ScheduleExpression": "cron(0 5 * * *)"},
        {"target": {"Arn": FUNCTION}},
        {"target": {"Arn": f"{FUNCTION}:dead"}},
        {"target": {"Arn": f"{FUNCTION}s:live"}},
        {"target": {"Arn": "stack-rule-orders:live"}},
        {"target": {"RoleArn": "role"}},
        {"target": {"Input": "not json"}},
        {"target": {"Input": '"<aws.scheduler.time>"'}},
        {"target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}},
    ],
)
def test_what_the_service_refuses_is_refused(scheduler: Any, group: str, role: str, change: dict[str, Any]) -> None:
    refused(scheduler.create_schedule, "ValidationException", **a_schedule(group, role, **change))
    assert scheduler.list_schedules(GroupName=group)["Schedules"] == []


@pytest.mark.parametrize("expression", ["rate(1 hour)", "rate(5 minutes)", "at(2027-01-31T02:30:00)"])
def test_rates_and_single_times_are_taken(scheduler: Any, group: str, role: str, expression: str) -> None:
    scheduler.create_schedule(**a_schedule(group, role, ScheduleExpression=expression))


@pytest.mark.parametrize(
    ("condition", "options"),
    [
        ({"StringEquals": {"aws:SourceAccount": "111111111111"}}, {}),
        ({"StringEquals": {"aws:SourceArn": group_arn("another")}}, {}),
        ({}, {"service": "lambda"}),
        ({}, {"invokes": FUNCTION}),
    ],
)
def test_a_role_that_would_not_do_is_refused(
    cloud: Callable[..., Any], scheduler: Any, group: str, condition: dict[str, Any], options: dict[str, Any]
) -> None:
    role = make_role(cloud, condition, **options)
    refused(scheduler.create_schedule, "ValidationException", **a_schedule(group, role))


def test_a_role_that_does_not_exist_is_refused(scheduler: Any, group: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT_ID}:role/none"
    refused(scheduler.create_schedule, "ValidationException", **a_schedule(group, role))


def test_a_group_that_does_not_exist_is_not_found(scheduler: Any, role: str) -> None:
    refused(scheduler.create_schedule, "ResourceNotFoundException", **a_schedule("none", role))
    refused(scheduler.get_schedule, "ResourceNotFoundException", GroupName="none", Name="orders")
    refused(scheduler.delete_schedule_group, "ResourceNotFoundException", Name="none")


def test_a_name_that_is_taken_is_a_conflict(scheduler: Any, group: str, role: str) -> None:
    scheduler.create_schedule(**a_schedule(group, role))
    refused(scheduler.create_schedule, "ConflictException", **a_schedule(group, role))
    refused(scheduler.create_schedule_group, "ConflictException", Name=group)


def test_a_repeated_create_under_one_token_succeeds_again(scheduler: Any, group: str, role: str) -> None:
    schedule = a_schedule(group, role, ClientToken="token")
    first = scheduler.create_schedule(**schedule)
    assert scheduler.create_schedule(**schedule)["ScheduleArn"] == first["ScheduleArn"]
    refused(scheduler.create_schedule, "ConflictException", **{**schedule, "ScheduleExpression": "rate(1 day)"})
    scheduler.delete_schedule(GroupName=group, Name="orders")
    scheduler.create_schedule(**schedule)
    assert scheduler.get_schedule(GroupName=group, Name="orders")["Name"] == "orders"


def test_an_update_resets_what_it_does_not_say(scheduler: Any, group: str, role: str) -> None:
    mine = {"State": "DISABLED", "Description": "mine", "ActionAfterCompletion": "DELETE"}
    scheduler.create_schedule(**a_schedule(group, role, **mine))
    changed = a_schedule(group, role)
    del changed["ScheduleExpressionTimezone"]
    scheduler.update_schedule(**changed)
    kept = scheduler.get_schedule(GroupName=group, Name="orders")
    assert (kept["State"], kept["ScheduleExpressionTimezone"]) == ("ENABLED", "UTC")
    assert kept["ActionAfterCompletion"] == "NONE"
    assert "Description" not in kept
    refused(scheduler.update_schedule, "ResourceNotFoundException", **a_schedule(group, role, Name="none"))


def test_every_update_moves_the_date_that_listing_and_reading_show(scheduler: Any, group: str, role: str) -> None:
    scheduler.create_schedule(**a_schedule(group, role, State="DISABLED"))
    seen = [scheduler.get_schedule(GroupName=group, Name="orders")["LastModificationDate"]]
    for _ in range(3):
        scheduler.update_schedule(**a_schedule(group, role))
        (listed,) = scheduler.list_schedules(GroupName=group)["Schedules"]
        kept = scheduler.get_schedule(GroupName=group, Name="orders")
        assert listed["LastModificationDate"] == kept["LastModificationDate"] > seen[-1]
        seen.append(kept["LastModificationDate"])
    assert kept["CreationDate"] == listed["CreationDate"] <= seen[0]


def test_a_listing_has_the_summary_of_each_schedule_in_pages(scheduler: Any, group: str, role: str) -> None:
    for name in ("orders", "sessions", "users"):
        scheduler.create_schedule(**a_schedule(group, role, Name=name))
    scheduler.create_schedule(**a_schedule(group, role, Name="paused", State="DISABLED"))
    pages = list(scheduler.get_paginator("list_schedules").paginate(GroupName=group, PaginationConfig={"PageSize": 3}))
    assert [len(page["Schedules"]) for page in pages] == [3, 1]
    listed = [one for page in pages for one in page["Schedules"]]
    assert [one["Name"] for one in listed] == ["orders", "sessions", "users", "paused"]
    assert set(listed[0]) == {
        "Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State", "Target",
    }  # fmt: skip
    assert listed[0]["Target"] == {"Arn": f"{FUNCTION}:live"}
    (paused,) = scheduler.list_schedules(GroupName=group, State="DISABLED")["Schedules"]
    assert paused["Name"] == "paused"
    (users,) = scheduler.list_schedules(GroupName=group, NamePrefix="us")["Schedules"]
    assert users["Name"] == "users"


def test_a_listing_that_cannot_be_is_refused(scheduler: Any, group: str) -> None:
    refused(scheduler.list_schedules, "ResourceNotFoundException", GroupName="none")
    refused(scheduler.list_schedules, "ValidationException", GroupName=group, NextToken="made up")
    refused(scheduler.list_schedules, "ValidationException", GroupName=group, MaxResults=101)


def test_a_rate_starts_when_it_is_said_and_not_more_than_five_minutes_ago(
    scheduler: Any, group: str, role: str
) -> None:
    start = NOW + dt.timedelta(hours=3)
    rate = a_schedule(group, role, ScheduleExpression="rate(6 hours)", StartDate=start)
    scheduler.create_schedule(**rate)
    assert scheduler.get_schedule(GroupName=group, Name="orders")["StartDate"] == start
    scheduler.update_schedule(**{**rate, "StartDate": NOW - dt.timedelta(minutes=4)})
    late = {**rate, "StartDate": NOW - dt.timedelta(minutes=6)}
    assert "5 minutes" in refused(scheduler.update_schedule, "ValidationException", **late)
    refused(scheduler.create_schedule, "ValidationException", **{**late, "Name": "late"})
    refused(scheduler.update_schedule, "ValidationException", **{**rate, "EndDate": start})
    without = a_schedule(group, role, ScheduleExpression="rate(6 hours)")
    scheduler.update_schedule(**without)
    assert "StartDate" not in scheduler.get_schedule(GroupName=group, Name="orders")


def test_a_managed_policy_lets_a_role_invoke_too(cloud: Callable[..., Any], scheduler: Any, group: str) -> None:
    iam = cloud("iam")
    role = make_role(cloud, {}, invokes="arn:aws:lambda:us-east-1:000000000000:function:other")
    refused(scheduler.create_schedule, "ValidationException", **a_schedule(group, role))
    allowed = [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": f"{FUNCTION}:live"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    policy = iam.create_policy(PolicyName=f"policy-{uuid.uuid4()}", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName=role.rpartition("/")[2], PolicyArn=policy)
    scheduler.create_schedule(**a_schedule(group, role))


# -- cron


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 5 * * *)",
        "cron(0 5 * * * *)",
        "cron(0 5 ? * ? *)",
        "cron(60 5 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 5 0 * ? *)",
        "cron(0 5 * 13 ? *)",
        "cron(0 5 ? * 0 *)",
        "cron(0 5 ? * 8 *)",
        "cron(0 5 ? * MON-8 *)",
        "cron(0 5 ? * 2/2 *)",
        "cron(0 5 ? * 2#6 *)",
        "cron(0 5 ? * 2#1,3#1 *)",
        "cron(0 5 LW * ? *)",
        "cron(0 5 31W * ? *)",
        "cron(0 5 * * ? 1969)",
        "cron(5-1 5 * * ? *)",
        "cron(*/0 5 * * ? *)",
        "cron(0  5 * * ? *)",
        "cron(0 5 * * ? *",
        "cron(0 5 , * ? *)",
    ],
)
def test_an_expression_that_is_not_documented_is_refused(expression: str) -> None:
    with pytest.raises(CronError):
        parse_cron(expression)


AT = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)  # a Saturday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(30 2 * * ? *)", ["2026-11-22T02:30", "2026-11-23T02:30"]),
        ("cron(0 10 ? * 2-6 *)", ["2026-11-23T10:00", "2026-11-24T10:00"]),
        ("cron(0 10 ? * SUN,SAT *)", ["2026-11-22T10:00", "2026-11-28T10:00"]),
        ("cron(0/20 12 ? * SAT *)", ["2026-11-21T12:20", "2026-11-21T12:40"]),
        ("cron(15 */12 * * ? *)", ["2026-11-21T12:15", "2026-11-22T00:15"]),
        ("cron(0 3 L * ? *)", ["2026-11-30T03:00", "2026-12-31T03:00"]),
        ("cron(0 3 ? * 6L *)", ["2026-11-27T03:00", "2026-12-25T03:00"]),
        ("cron(0 3 ? * L *)", ["2026-11-28T03:00", "2026-12-05T03:00"]),
        ("cron(0 3 ? * TUE#2 *)", ["2026-12-08T03:00", "2027-01-12T03:00"]),
        ("cron(0 3 22W * ? *)", ["2026-11-23T03:00", "2026-12-22T03:00"]),
        ("cron(0 3 1W * ? *)", ["2026-12-01T03:00", "2027-01-01T03:00"]),
        ("cron(0 3 29 FEB ? *)", ["2028-02-29T03:00", "2032-02-29T03:00"]),
        ("cron(0 3 31 2 ? *)", []),
        ("cron(0 3 1 1 ? 2027-2028)", ["2027-01-01T03:00", "2028-01-01T03:00"]),
    ],
)
def test_times_are_those_of_the_calendar(expression: str, expected: list[str]) -> None:
    times = [time.strftime("%Y-%m-%dT%H:%M") for time in fire_times(expression, "UTC", AT, 2)]
    assert times == expected


def test_the_first_of_a_month_moves_to_monday_when_it_is_a_saturday() -> None:
    times = fire_times("cron(0 3 1W 5 ? 2027)", "UTC", AT, 1)
    assert times[0].date() == dt.date(2027, 5, 3)


def test_a_time_that_a_clock_change_skips_is_skipped() -> None:
    after = dt.datetime(2027, 3, 27, 12, tzinfo=dt.UTC)
    days = [time.day for time in fire_times("cron(30 2 * * ? *)", "Europe/Berlin", after, 2)]
    assert days == [29, 30]


def test_a_time_that_a_clock_change_repeats_fires_once_the_first_time() -> None:
    after = dt.datetime(2026, 10, 24, 12, tzinfo=dt.UTC)
    first, second = fire_times("cron(30 2 * * ? *)", "Europe/Berlin", after, 2)
    assert first.astimezone(dt.UTC) == dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)
    assert second == dt.datetime(2026, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
