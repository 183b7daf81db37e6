"""The local cloud finds functions and alarms by their tags as the Resource Groups Tagging API does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.lambda_lab import Lab, code_of, lab
from tests.contract.test_local_alarms import an_alarm

__all__ = ["lab"]

KINDS = ["lambda:function", "cloudwatch:alarm"]
OURS = [{"Key": "rdbkeeper:stack", "Values": ["mine"]}]


@pytest.fixture(scope="module")
def tagging(lab: Lab) -> Any:
    """The client, after two functions and an alarm of ours and what belongs to others were made."""
    for name, tags in {
        "mine-rule-orders": {"rdbkeeper:stack": "mine", "rdbkeeper:rule": "orders"},
        "mine-rule-users": {"rdbkeeper:stack": "mine", "rdbkeeper:rule": "users"},
        "theirs": {"rdbkeeper:stack": "theirs"},
        "untagged": {},
    }.items():
        lab.client.create_function(**lab.settings(FunctionName=name, Tags=tags, Publish=True))
    cloudwatch = lab.cloud.client("cloudwatch")
    cloudwatch.put_metric_alarm(**an_alarm("mine-rule-orders", Tags=[{"Key": "rdbkeeper:stack", "Value": "mine"}]))
    cloudwatch.put_metric_alarm(**an_alarm("theirs", Tags=[{"Key": "rdbkeeper:stack", "Value": "theirs"}]))
    lab.cloud.client("logs").create_log_group(logGroupName="/mine", tags={"rdbkeeper:stack": "mine"})
    return lab.cloud.client("resourcegroupstaggingapi")


def function_arn(name: str) -> str:
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def found(answer: dict[str, Any]) -> list[str]:
    return [one["ResourceARN"].rpartition(":")[2] for one in answer["ResourceTagMappingList"]]


def test_functions_and_alarms_are_found_by_tag_each_function_once(tagging: Any) -> None:
    answer = tagging.get_resources(TagFilters=OURS, ResourceTypeFilters=KINDS)
    assert [one["ResourceARN"] for one in answer["ResourceTagMappingList"]] == [
        "arn:aws:cloudwatch:us-east-1:000000000000:alarm:mine-rule-orders",
        function_arn("mine-rule-orders"),
        function_arn("mine-rule-users"),
    ]
    tags = {tag["Key"]: tag["Value"] for tag in answer["ResourceTagMappingList"][1]["Tags"]}
    assert tags == {"rdbkeeper:stack": "mine", "rdbkeeper:rule": "orders"}


def test_every_filter_must_hold(tagging: Any) -> None:
    users = [*OURS, {"Key": "rdbkeeper:rule", "Values": ["users", "nobody"]}]
    assert found(tagging.get_resources(TagFilters=users, ResourceTypeFilters=KINDS)) == ["mine-rule-users"]
    any_rule = [{"Key": "rdbkeeper:rule"}]
    assert len(found(tagging.get_resources(TagFilters=any_rule, ResourceTypeFilters=["lambda"]))) == 2
    assert found(tagging.get_resources(TagFilters=OURS, ResourceTypeFilters=["lambda:layer"])) == []


def test_pages_lead_on_and_the_last_has_an_empty_token(tagging: Any) -> None:
    how = {"TagFilters": OURS, "ResourceTypeFilters": KINDS, "ResourcesPerPage": 2}
    first = tagging.get_resources(**how)
    second = tagging.get_resources(**how, PaginationToken=first["PaginationToken"])
    assert [len(found(first)), len(found(second))] == [2, 1]
    assert second["PaginationToken"] == ""
    pages = tagging.get_paginator("get_resources").paginate(TagFilters=OURS, ResourceTypeFilters=KINDS)
    assert len(found(pages.build_full_result())) == 3


def test_a_function_that_is_gone_is_not_found(lab: Lab, tagging: Any) -> None:
    lab.client.create_function(**lab.settings(FunctionName="short-lived", Tags={"rdbkeeper:stack": "short"}))
    how = {"TagFilters": [{"Key": "rdbkeeper:stack", "Values": ["short"]}], "ResourceTypeFilters": KINDS}
    assert found(tagging.get_resources(**how)) == ["short-lived"]
    lab.client.delete_function(FunctionName="short-lived")
    assert found(tagging.get_resources(**how)) == []


@pytest.mark.parametrize(
    "how",
    [
        {"ResourcesPerPage": 101},
        {"ResourceARNList": [function_arn("theirs")], "TagFilters": OURS},
        {"ResourceTypeFilters": ["AWS::Lambda::Function"]},
        {"TagFilters": [{"Key": "k", "Values": [str(number) for number in range(21)]}]},
        {"TagsPerPage": 100},
    ],
    ids=["too large a page", "two ways at once", "a type of CloudFormation's", "too many values", "pages by tags"],
)
def test_a_search_that_the_service_would_refuse_is_refused(tagging: Any, how: dict[str, Any]) -> None:
    assert code_of(lambda: tagging.get_resources(**how)) == "InvalidParameterException"


def test_a_token_that_is_none_has_expired(tagging: Any) -> None:
    assert code_of(lambda: tagging.get_resources(PaginationToken="made up")) == "PaginationTokenExpiredException"
