"""How the fleet is read from AWS: in how many calls, and from answers that the local cloud does not give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rdbkeeper.aws.fleet import AwsFleet
from rdbkeeper.domain.errors import FleetDenied
from tests.contract.stubbed_aws import (
    ALL_ALARM_TYPES,
    ARN,
    NOW,
    Aws,
    alarm,
    aws,
    configuration,
    fleet,
    get_function,
    tags,
)
from tests.fakes.fleet import SETTINGS

__all__ = ["aws", "fleet"]

RULES = [f"rule-{number}" for number in range(120)]


def pages(items: list[Any], size: int) -> Iterator[tuple[list[Any], str]]:
    """The items in pages, each with the token of the next."""
    for start in range(0, len(items), size):
        end = start + size
        yield items[start:end], str(end) if end < len(items) else ""


def prepare_listing(
    aws: Aws,
    listed: list[dict[str, Any]],
    alarms: list[dict[str, Any]],
    tagged: list[dict[str, Any]],
) -> None:
    """Prepare the answers to one look at the whole fleet, without schedules and log groups."""
    for found, token in pages(tagged, 100) if tagged else [([], "")]:
        aws.answers(
            "resourcegroupstaggingapi", "get_resources", {"ResourceTagMappingList": found, "PaginationToken": token}
        )
    for found, token in pages(listed, 50):
        aws.answers("lambda", "list_functions", {"Functions": found, **({"NextMarker": token} if token else {})})
    for found, token in pages(alarms, 100) if alarms else [([], "")]:
        aws.answers("cloudwatch", "describe_alarms", {"MetricAlarms": found, **({"NextToken": token} if token else {})})


def prepare_nothing_else(aws: Aws) -> None:
    aws.answers("scheduler", "list_schedules", {"Schedules": []})
    aws.answers("logs", "describe_log_groups", {"logGroups": []})


def resource(service: str, kind: str, name: str, rule: str) -> dict[str, Any]:
    return {"ResourceARN": ARN.format(service, kind, name), "Tags": tags(rule)}


# Calls


def test_a_hundred_and_twenty_rules_are_read_in_pages_only(aws: Aws, fleet: AwsFleet) -> None:
    names = {rule: SETTINGS.function_name(rule) for rule in RULES}
    listed = [configuration(name, version) for name in names.values() for version in ("$LATEST", "10", "9")]
    alarms = [alarm(SETTINGS.alarm_name(rule)) for rule in RULES]
    tagged = [resource("lambda", "function", name, rule) for rule, name in names.items()]
    tagged += [resource("cloudwatch", "alarm", SETTINGS.alarm_name(rule), rule) for rule in RULES]
    prepare_listing(aws, [*listed, configuration("another")], alarms, tagged)
    for found, token in pages(RULES, 100):
        schedules = [
            {
                "Name": rule,
                "State": "ENABLED",
                "Target": {"Arn": ARN.format("lambda", "function", f"{names[rule]}:live")},
                "LastModificationDate": NOW,
            }
            for rule in found
        ]
        aws.answers("scheduler", "list_schedules", {"Schedules": schedules, **({"NextToken": token} if token else {})})
    for found, token in pages(RULES, 50):
        groups = [{"logGroupName": SETTINGS.log_group(rule), "retentionInDays": 90} for rule in found]
        aws.answers("logs", "describe_log_groups", {"logGroups": groups, **({"nextToken": token} if token else {})})
    seen = fleet.observe()
    assert {found.rule for found in seen.functions.values()} == set(RULES)
    assert {found.rule for found in seen.alarms.values()} == set(RULES)
    assert seen.schedules.keys() == set(RULES)
    assert seen.schedules["rule-0"].modified_at == NOW.replace(microsecond=0)
    assert seen.log_groups == {SETTINGS.log_group(rule): 90 for rule in RULES}
    assert [version.number for version in seen.functions["rdbkeeper-rule-rule-7"].versions] == [9, 10]


def test_a_listing_asks_for_the_stack_and_for_all_versions(aws: Aws, fleet: AwsFleet) -> None:
    aws.answers(
        "resourcegroupstaggingapi",
        "get_resources",
        {"ResourceTagMappingList": [], "PaginationToken": ""},
        {
            "TagFilters": [{"Key": "rdbkeeper:stack", "Values": ["rdbkeeper"]}],
            "ResourceTypeFilters": ["lambda:function", "cloudwatch:alarm"],
            "ResourcesPerPage": 100,
        },
    )
    aws.answers("lambda", "list_functions", {"Functions": []}, {"FunctionVersion": "ALL"})
    aws.answers("scheduler", "list_schedules", {"Schedules": []}, {"GroupName": "rdbkeeper", "MaxResults": 100})
    asked = {"AlarmNamePrefix": "rdbkeeper-rule-", "AlarmTypes": ALL_ALARM_TYPES, "MaxRecords": 100}
    aws.answers("cloudwatch", "describe_alarms", {"MetricAlarms": []}, asked)
    asked = {"logGroupNamePrefix": "/aws/lambda/rdbkeeper-rule-"}
    aws.answers("logs", "describe_log_groups", {"logGroups": []}, asked)
    seen = fleet.observe()
    assert (seen.functions, seen.schedules, seen.alarms, seen.log_groups) == ({}, {}, {}, {})


# What the tags say


def test_what_the_tags_listing_does_not_name_yet_is_asked_itself(aws: Aws, fleet: AwsFleet) -> None:
    mine, strange = "rdbkeeper-rule-orders", "rdbkeeper-rule-strange"
    prepare_listing(
        aws,
        [configuration(mine), configuration(mine, "1"), configuration(strange)],
        [alarm(f"{mine}-overdue"), alarm(f"{strange}-overdue")],
        [],
    )
    prepare_nothing_else(aws)
    arns = [ARN.format("lambda", "function", name) for name in (mine, strange)]
    aws.answers("lambda", "list_tags", {"Tags": SETTINGS.tags("orders")}, {"Resource": arns[0]})
    aws.answers("lambda", "list_tags", {"Tags": {"rdbkeeper:stack": "another"}}, {"Resource": arns[1]})
    arns = [ARN.format("cloudwatch", "alarm", f"{name}-overdue") for name in (mine, strange)]
    aws.answers("cloudwatch", "list_tags_for_resource", {"Tags": tags("orders")}, {"ResourceARN": arns[0]})
    aws.answers("cloudwatch", "list_tags_for_resource", {"Tags": []}, {"ResourceARN": arns[1]})
    seen = fleet.observe()
    assert {name: found.rule for name, found in seen.functions.items()} == {mine: "orders", strange: None}
    assert {name: found.rule for name, found in seen.alarms.items()} == {
        f"{mine}-overdue": "orders",
        f"{strange}-overdue": None,
    }


def test_what_the_tags_listing_still_names_is_not_there(aws: Aws, fleet: AwsFleet) -> None:
    gone = [resource("lambda", "function", "rdbkeeper-rule-gone", "gone")]
    prepare_listing(aws, [configuration("another")], [], gone)
    prepare_nothing_else(aws)
    assert fleet.observe().functions == {}


def test_what_goes_while_it_is_being_looked_at_is_not_there(aws: Aws, fleet: AwsFleet) -> None:
    prepare_listing(aws, [configuration("rdbkeeper-rule-a")], [alarm("rdbkeeper-rule-a-overdue")], [])
    prepare_nothing_else(aws)
    aws.fails("lambda", "list_tags", "ResourceNotFoundException", 404)
    aws.fails("cloudwatch", "list_tags_for_resource", "ResourceNotFoundException", 404)
    seen = fleet.observe()
    assert (seen.functions, seen.alarms) == ({}, {})


def test_a_function_that_goes_during_a_closer_look_is_not_there(aws: Aws, fleet: AwsFleet) -> None:
    aws.answers("lambda", "get_function", get_function())
    aws.fails("lambda", "list_versions_by_function", "ResourceNotFoundException", 404)
    for _ in range(2):
        aws.fails("scheduler", "get_schedule", "ResourceNotFoundException", 404)
    aws.answers("cloudwatch", "describe_alarms", {"MetricAlarms": []})
    aws.answers("logs", "describe_log_groups", {"logGroups": []})
    assert fleet.look_closely("orders").functions == {}


def test_what_carries_the_tags_under_another_name_is_shown(aws: Aws, fleet: AwsFleet) -> None:
    tagged = [
        resource("lambda", "function", "copy-by-hand", "orders"),
        {
            "ResourceARN": ARN.format("lambda", "function", "rdbkeeper-run-rule"),
            "Tags": [{"Key": "rdbkeeper:stack", "Value": "rdbkeeper"}],
        },
    ]
    prepare_listing(aws, [configuration("copy-by-hand"), configuration("rdbkeeper-run-rule")], [], tagged)
    prepare_nothing_else(aws)
    assert {name: found.rule for name, found in fleet.observe().functions.items()} == {"copy-by-hand": "orders"}


# Settings


def test_what_lambda_leaves_out_has_its_default(aws: Aws, fleet: AwsFleet) -> None:
    aws.answers("lambda", "get_function", {"Configuration": {**configuration("rdbkeeper-run-rule"), "Timeout": 3}})
    found = fleet.prototype().settings
    assert (found.timeout_s, found.memory_mb, found.ephemeral_storage_mb) == (3, 128, 512)
    assert (found.architecture, found.layer_arns, found.environment) == ("x86_64", (), ())
    assert (found.durable_timeout_s, found.durable_retention_days) == (0, 0)
    assert (found.log_format, found.log_group) == ("Text", "/aws/lambda/rdbkeeper-run-rule")
    assert (found.application_log_level, found.system_log_level, found.kms_key_arn) == ("", "", "")


def test_a_prototype_whose_environment_cannot_be_read_empties_nobodys(aws: Aws, fleet: AwsFleet) -> None:
    sealed = {"Error": {"ErrorCode": "AccessDeniedException", "Message": "The key is not yours."}}
    aws.answers("lambda", "get_function", {"Configuration": configuration("rdbkeeper-run-rule", Environment=sealed)})
    with pytest.raises(FleetDenied, match="environment of the prototype"):
        fleet.prototype()
