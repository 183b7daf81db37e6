"""What template.yaml lets each role do, as it is written. `test_permissions` holds it against the calls of the code."""

import json
import re
from typing import Any

import pytest

from tests.local_cloud.template_reader import Resource, function_of
from tests.packaging.template import RESOURCES, as_list, of_type, permitted, policy_documents, statements

ROLES = of_type("AWS::IAM::Role")

# Statements whose actions know no narrower resource, and which actions these are.
ON_EVERYTHING = {
    "RunRuleRole.LetElastiCacheFindTheBucket": {"s3:ListAllMyBuckets"},
    "FleetPolicy.List": {
        "cloudwatch:DescribeAlarms",
        "lambda:ListFunctions",
        "logs:DescribeLogGroups",
        "scheduler:ListSchedules",
        "tag:GetResources",
    },
}

# What CloudFormation may put in the place of a name, at its longest.
LONGEST = {
    "AWS::Partition": "aws",
    "AWS::Region": "ap-southeast-1",
    "AWS::AccountId": "0" * 12,
    "AWS::StackName": "s" * 27,
}
LONGEST_ARN = f"arn:aws:iam::{'0' * 12}:role/{'r' * 64}"
MAX_MANAGED_POLICY = 6144  # characters without white space ("IAM and AWS STS quotas")
MAX_ROLE_POLICIES = 10240


def to_service(service: str) -> dict[str, Any]:
    return {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}


def test_no_role_may_delete_a_version_or_do_everything() -> None:
    assert not [action for action in permitted() if "*" in action]
    assert "s3:DeleteObjectVersion" not in permitted()


def test_only_what_has_no_resource_is_allowed_on_everything() -> None:
    open_ended = {
        name: set(as_list(statement["Action"]))
        for name, statement in statements().items()
        if "*" in as_list(statement["Resource"])
    }
    assert open_ended == ON_EVERYTHING


def test_every_other_resource_is_this_stack_s_or_of_the_instances() -> None:
    for name, statement in statements().items():
        for resource in as_list(statement["Resource"]):
            text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
            by_name = function_of(resource) in ("Ref", "Fn::GetAtt") or text.startswith("${")
            assert by_name or "${AWS::StackName}" in text or ":elasticache:" in text or name in ON_EVERYTHING, name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.logical_id)
def test_every_role_has_the_boundary(role: Resource) -> None:
    assert role.properties["PermissionsBoundary"] == {
        "Fn::If": ["HasPermissionsBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]
    }


def test_a_role_is_passed_to_one_service_only() -> None:
    passing = {
        name: (statement["Resource"], statement["Condition"])
        for name, statement in statements().items()
        if "iam:PassRole" in as_list(statement["Action"])
    }
    assert passing == {
        "FleetPolicy.GiveRunRuleRoleOnlyToLambda": ({"Fn::GetAtt": ["RunRuleRole", "Arn"]}, to_service("lambda")),
        "FleetPolicy.GiveAllowedRolesOnlyToLambda": ({"Ref": "AllowedRuleRoleArns"}, to_service("lambda")),
        "FleetPolicy.GiveSchedulerRoleOnlyToScheduler": (
            {"Fn::GetAtt": ["SchedulerRole", "Arn"]},
            to_service("scheduler"),
        ),
    }


def test_without_allowed_roles_no_statement_is_left_without_a_resource() -> None:
    document = RESOURCES["FleetPolicy"].properties["PolicyDocument"]
    conditional = [part["Fn::If"] for part in document["Statement"] if function_of(part) == "Fn::If"]
    assert [(part[0], part[1]["Sid"], part[2]) for part in conditional] == [
        ("HasAllowedRuleRoles", "GiveAllowedRolesOnlyToLambda", {"Ref": "AWS::NoValue"})
    ]


def test_functions_are_made_and_changed_with_this_stack_s_layer_only() -> None:
    layer = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:layer:${AWS::StackName}:*"
    for name, statement in statements().items():
        if {"lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"} & set(as_list(statement["Action"])):
            assert statement["Condition"] == {"ForAllValues:StringLike": {"lambda:Layer": {"Fn::Sub": layer}}}, name


def test_alarms_are_made_for_this_stack_s_topic_only() -> None:
    making = [part for part in statements().values() if "cloudwatch:PutMetricAlarm" in as_list(part["Action"])]
    (condition,) = [part["Condition"] for part in making]
    assert condition == {"ForAllValues:StringEquals": {"cloudwatch:AlarmActions": [{"Ref": "AlarmTopic"}]}}


def test_a_run_changes_only_its_rules_items_and_statuses() -> None:
    allowed: dict[str, set[str]] = {}
    for name, statement in statements().items():
        if name.startswith("RunRuleRole.") and statement["Resource"] == {"Fn::GetAtt": ["Table", "Arn"]}:
            ((_, condition),) = statement["Condition"].items()
            for key in condition["dynamodb:LeadingKeys"]:
                allowed.setdefault(key, set()).update(as_list(statement["Action"]))
    assert allowed == {
        "rules": {"dynamodb:GetItem"},
        "status": {"dynamodb:UpdateItem"},
        "rule#*": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"},
    }


def test_a_worker_changes_only_a_run_s_lease_and_puts_only_parts() -> None:
    assert permitted("CopyLegRole.") == {
        "dynamodb:PutItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }
    lease = statements()["CopyLegRole.KeepLease"]
    assert lease["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["rule#*"]}}


def test_only_who_manages_and_who_reconciles_may_change_the_fleet() -> None:
    attached = {role.logical_id for role in ROLES if role.properties.get("ManagedPolicyArns")}
    assert attached == {"ManageRulesRole", "ReconcileRulesRole"}
    for role in attached:
        assert RESOURCES[role].properties["ManagedPolicyArns"] == [{"Ref": "FleetPolicy"}]
    making = {name.split(".")[0] for name, part in statements().items() if "lambda:CreateFunction" in part["Action"]}
    assert making == {"FleetPolicy"}


@pytest.mark.parametrize(
    "role, group",
    [
        ("SchedulerRole", {"Fn::GetAtt": ["ScheduleGroup", "Arn"]}),
        (
            "ReconcileTimerRole",
            {"Fn::Sub": "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default"},
        ),
    ],
)
def test_scheduler_takes_a_role_for_the_one_group_it_is_meant_for(role: str, group: dict[str, Any]) -> None:
    (trust,) = RESOURCES[role].properties["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:SourceArn": group,
    }


def test_scheduler_may_start_runs_and_reconciling_and_nothing_else() -> None:
    assert permitted("SchedulerRole.") == permitted("ReconcileTimerRole.") == {"lambda:InvokeFunction"}
    timer = statements()["ReconcileTimerRole.StartReconciling"]
    assert timer["Resource"] == {"Fn::GetAtt": ["ReconcileRulesFunction", "Arn"]}


def test_policies_fit_with_the_longest_stack_name_and_twenty_allowed_roles() -> None:
    used: dict[str, int] = {}
    for holder, document in policy_documents():
        used[holder] = used.get(holder, 0) + len(re.sub(r"\s", "", json.dumps(at_its_longest(document))))
    assert used.pop("FleetPolicy") <= MAX_MANAGED_POLICY
    assert max(used.values()) <= MAX_ROLE_POLICIES


def at_its_longest(value: Any) -> Any:
    """The value as long as it can become, with every condition true."""
    name = function_of(value)
    if name == "Fn::If":
        return at_its_longest(value[name][1])
    if name == "Fn::Sub":
        return re.sub(r"\$\{([^}]+)\}", lambda match: LONGEST.get(match[1], LONGEST_ARN), value[name])
    if name == "Ref" and value[name] == "AllowedRuleRoleArns":
        return [LONGEST_ARN] * 20
    if name:
        return LONGEST_ARN
    if isinstance(value, dict):
        return {key: at_its_longest(item) for key, item in value.items()}
    return [at_its_longest(item) for item in value] if isinstance(value, list) else value
