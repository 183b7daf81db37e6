"""What template.yaml lets each role do, as it is written. `test_permissions` holds it against the calls of the code."""

import json
import re
from typing import Any

import pytest

from rdbkeeper.domain.fleet.settings import STACK_TAG
from tests.local_cloud.template_reader import Resource, function_of
from tests.local_cloud.template_values import Resolver
from tests.packaging.template import (
    RESOURCES,
    TEMPLATE,
    as_list,
    names_in,
    of_type,
    permitted,
    policy_documents,
    statements,
)

ROLES = of_type("AWS::IAM::Role")

# Statements whose actions know no narrower resource, and which actions these are.
ON_EVERYTHING = {
    "RunRuleRole.FindNetworkInterfaces": {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"},
    "RunRuleRole.LetTheProviderFindTheBucket": {"s3:ListAllMyBuckets"},
    "RunRuleRole.ReadEvents": {"elasticache:DescribeEvents"},
    "FleetPolicy.LetLambdaFindTheNetwork": {
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
    },
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
LONGEST_FUNCTION_ARN = f"arn:aws:lambda:ap-southeast-1:{'0' * 12}:function:{'f' * 64}"
LONGEST_BUCKET_ARN = f"arn:aws:s3:::{'b' * 63}"
# Of a network's parts at most so many can be ("VpcConfig" in the Lambda API reference).
LONGEST_LISTS = {
    "AllowedVaultBucketArns": [LONGEST_BUCKET_ARN] * 20,
    "VpcSecurityGroupIds": [f"sg-{'0' * 17}"] * 5,
    "VpcSubnetIds": [f"subnet-{'0' * 17}"] * 16,
}
LONGEST_SPLITS = {
    "Bucket": [f"{LONGEST_BUCKET_ARN}/*"] * 20,
    "Hook": [LONGEST_FUNCTION_ARN, f"{LONGEST_FUNCTION_ARN}:*"] * 20,
}
MAX_MANAGED_POLICY = 6144  # characters without white space ("IAM and AWS STS quotas")
MAX_ROLE_POLICIES = 10240


def to_service(service: str) -> dict[str, Any]:
    return {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}


def test_no_role_may_delete_a_version_get_round_a_lock_or_do_everything() -> None:
    assert not [action for action in permitted() if "*" in action]
    assert not permitted() & {
        "s3:BypassGovernanceRetention",
        "s3:DeleteObjectVersion",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
        "s3:PutObjectLegalHold",
    }


def test_only_what_has_no_resource_is_allowed_on_everything() -> None:
    open_ended = {
        name: set(as_list(statement["Action"]))
        for name, statement in statements().items()
        if "*" in as_list(statement["Resource"])
    }
    assert open_ended == ON_EVERYTHING


def test_every_other_resource_is_this_stack_s_or_of_the_instances_or_was_allowed() -> None:
    for name, statement in statements().items():
        for resource in as_list(statement["Resource"]):
            text = resource["Fn::Sub"] if function_of(resource) == "Fn::Sub" else ""
            is_named = bool(names_in(resource) & {*RESOURCES, *TEMPLATE.parameters})
            ours = ("${AWS::StackName}", ":elasticache:", ":memorydb:", ":secret:rdbkeeper/")
            is_expected = name in ON_EVERYTHING or name == "RunRuleRole.KeepNetworkInterfaces"
            assert is_named or any(part in text for part in ours) or is_expected, name


def test_the_bucket_of_the_default_vault_is_the_one_that_was_given_or_made() -> None:
    given_or_made = {"Fn::If": ["MakesVaultBucket", {"Ref": "VaultBucket"}, {"Ref": "VaultBucketName"}]}
    named = [name for name, part in statements().items() if "VaultBucket" in names_in(part["Resource"])]
    assert named == [
        "CopyLegRole.Copies",
        "CopyLegRole.TellWhatIsGone",
        "VaultPolicy.DefaultVault",
        "VaultPolicy.CopiesInDefaultVault",
    ]
    for name in named:
        resource = as_list(statements()[name]["Resource"])[-1]
        assert resource["Fn::Sub"][0] in (
            "arn:${AWS::Partition}:s3:::${Bucket}",
            "arn:${AWS::Partition}:s3:::${Bucket}/*",
        )
        assert resource["Fn::Sub"][1] == {"Bucket": given_or_made}


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
    conditional = [
        part["Fn::If"]
        for _, document in policy_documents()
        for part in document["Statement"]
        if function_of(part) == "Fn::If"
    ]
    assert all(part[2] == {"Ref": "AWS::NoValue"} for part in conditional)
    assert {part[1]["Sid"]: part[0] for part in conditional} == {
        "AssumeRolesOfVaults": "HasAllowedVaultRoles",
        "CopiesInOtherVaults": "HasAllowedVaultBuckets",
        "FindNetworkInterfaces": "HasNetwork",
        "GiveAllowedRolesOnlyToLambda": "HasAllowedRuleRoles",
        "KeepNetworkInterfaces": "HasNetwork",
        "LetLambdaFindTheNetwork": "HasNetwork",
        "OtherVaults": "HasAllowedVaultBuckets",
        "TellWhatIsGoneInOtherVaults": "HasAllowedVaultBuckets",
        "UseKeysOfVaults": "HasAllowedVaultKeys",
    }
    lists = {"AllowedRuleRoleArns", "AllowedVaultBucketArns", "AllowedVaultKeyArns", "AllowedVaultRoleArns"}
    for part in statements().values():
        if names_in(part["Resource"]) & lists:
            assert part in [found[1] for found in conditional]


def test_roles_that_vaults_name_are_assumed_by_whoever_works_with_vaults_and_no_others_are() -> None:
    assuming = {name: part for name, part in statements().items() if "sts:AssumeRole" in as_list(part["Action"])}
    assert {name: part["Resource"] for name, part in assuming.items()} == {
        "VaultAccessPolicy.AssumeRolesOfVaults": {"Ref": "AllowedVaultRoleArns"}
    }


def test_functions_are_made_and_changed_with_this_stack_s_layer_and_in_its_network_only() -> None:
    layer = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:layer:${AWS::StackName}:*"
    for name, statement in statements().items():
        if {"lambda:CreateFunction", "lambda:UpdateFunctionConfiguration"} & set(as_list(statement["Action"])):
            assert statement["Condition"] == {
                "ForAllValues:StringLike": {"lambda:Layer": {"Fn::Sub": layer}},
                "ForAllValues:StringEquals": {
                    "lambda:SubnetIds": {"Fn::If": ["HasNetwork", {"Ref": "VpcSubnetIds"}, "none"]},
                    "lambda:SecurityGroupIds": {"Fn::If": ["HasNetwork", {"Ref": "VpcSecurityGroupIds"}, "none"]},
                },
            }, name


def test_network_interfaces_are_lambda_s_to_make_and_not_the_code_s() -> None:
    for name in ("KeepNetworkInterfaces", "FindNetworkInterfaces"):
        assert statements()[f"RunRuleRole.{name}"]["Condition"] == {"Null": {"lambda:SourceFunctionArn": True}}
    using = {name for name, part in statements().items() if any("ec2:" in one for one in as_list(part["Action"]))}
    assert using == {
        "RunRuleRole.KeepNetworkInterfaces",
        "RunRuleRole.FindNetworkInterfaces",
        "FleetPolicy.LetLambdaFindTheNetwork",
    }


def test_hooks_are_called_where_they_are_allowed_by_any_qualifier_or_none() -> None:
    assert RESOURCES["HookPolicy"].condition == "HasAllowedHookFunctions"
    resolver = Resolver(TEMPLATE, {"AllowedHookFunctionArns": "arn:a,arn:b"}, {})
    allowed = resolver.resolve(statements()["HookPolicy.CallHooks"]["Resource"])
    assert allowed == ["arn:a", "arn:b", "arn:a:*", "arn:b:*"]


@pytest.mark.parametrize("name", ["MakeBackups", "TagOwnBackups", "RemoveOwnBackups"])
def test_backups_that_are_made_tagged_or_removed_are_called_like_ours(name: str) -> None:
    resources = [part["Fn::Sub"] for part in statements()[f"RunRuleRole.{name}"]["Resource"]]
    of_backups = [arn for arn in resources if "snapshot" in arn]
    assert len(of_backups) == 3
    assert all(re.search(r"snapshot[:/]rdbkeeper-\*$", arn) for arn in of_backups)
    assert of_backups == resources or name == "MakeBackups"  # which also names what is backed up


def test_a_backup_is_removed_only_where_this_stack_s_tag_is_on_it() -> None:
    removing = [
        name
        for name, part in statements().items()
        if any(re.search(r":Delete\w*Snapshot$", action) for action in as_list(part["Action"]))
    ]
    assert removing == ["RunRuleRole.RemoveOwnBackups"]
    assert statements()[removing[0]]["Condition"] == {
        "StringEquals": {f"aws:ResourceTag/{STACK_TAG}": {"Ref": "AWS::StackName"}}
    }


def test_who_manages_and_who_reconciles_only_read_at_the_providers() -> None:
    for role in ("ManageRulesRole.", "ReconcileRulesRole."):
        asked = {action for action in permitted(role) if action.startswith(("elasticache:", "memorydb:"))}
        assert asked
        assert not {action for action in asked if ":Describe" not in action}


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
        "vaults": {"dynamodb:GetItem"},
        "probes": {"dynamodb:GetItem"},
        "status": {"dynamodb:UpdateItem"},
        "rule#*": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"},
        "freezes": {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"},
    }


def test_a_worker_changes_only_a_run_s_lease_and_puts_only_parts() -> None:
    assert permitted("CopyLegRole.") == {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }
    lease = statements()["CopyLegRole.KeepLease"]
    assert lease["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["rule#*"]}}
    read = statements()["CopyLegRole.ReadVaults"]
    assert read["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["vaults", "probes"]}}


def test_only_who_manages_and_who_reconciles_may_change_the_fleet() -> None:
    hooks = {"Fn::If": ["HasAllowedHookFunctions", {"Ref": "HookPolicy"}, {"Ref": "AWS::NoValue"}]}
    attached = {
        role.logical_id: [
            "HookPolicy" if policy == hooks else policy["Ref"]
            for policy in role.properties.get("ManagedPolicyArns", ())
        ]
        for role in ROLES
    }
    assert attached == {
        "RunRuleRole": ["VaultPolicy", "VaultAccessPolicy", "HookPolicy"],
        "CopyLegRole": ["VaultAccessPolicy"],
        "ManageRulesRole": ["FleetPolicy", "VaultPolicy", "VaultAccessPolicy", "HookPolicy"],
        "ReconcileRulesRole": ["FleetPolicy", "VaultPolicy", "VaultAccessPolicy", "HookPolicy"],
        "SchedulerRole": [],
        "ReconcileTimerRole": [],
    }
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


def test_policies_fit_with_the_longest_stack_name_and_twenty_of_whatever_is_allowed() -> None:
    used: dict[str, int] = {}
    for holder, document in policy_documents():
        used[holder] = used.get(holder, 0) + len(re.sub(r"\s", "", json.dumps(at_its_longest(document))))
    for policy in of_type("AWS::IAM::ManagedPolicy"):
        assert used.pop(policy.logical_id) <= MAX_MANAGED_POLICY, policy.logical_id
    assert max(used.values()) <= MAX_ROLE_POLICIES


def at_its_longest(value: Any) -> Any:
    """The value as long as it can become, with every condition true."""
    name = function_of(value)
    if name == "Fn::If":
        return at_its_longest(value[name][1])
    if name == "Fn::Split":
        return LONGEST_SPLITS["Hook" if "AllowedHookFunctionArns" in str(value) else "Bucket"]
    if name == "Fn::Sub" and "Bucket" in str(value):
        return [f"{LONGEST_BUCKET_ARN}/*"]
    if name == "Fn::Sub":
        return re.sub(r"\$\{([^}]+)\}", lambda match: LONGEST.get(match[1], LONGEST_ARN), value[name])
    if name == "Ref" and TEMPLATE.parameters.get(value[name], {}).get("Type") == "CommaDelimitedList":
        return LONGEST_LISTS.get(value[name], [LONGEST_ARN] * 20)
    if name:
        return LONGEST_ARN
    if isinstance(value, dict):
        return {key: at_its_longest(item) for key, item in value.items()}
    return [at_its_longest(item) for item in value] if isinstance(value, list) else value
