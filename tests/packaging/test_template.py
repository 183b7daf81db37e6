"""What template.yaml promises, read from the file itself."""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rdbkeeper.domain.fleet import RULE_VARIABLE
from rdbkeeper.entry.settings import ManageSettings, RunSettings
from tests.local_cloud.template_reader import Resource, read_template
from tests.packaging.aws_calls import called_actions

REPOSITORY = Path(__file__).resolve().parents[2]
LAYER = REPOSITORY / "layers" / "rdbkeeper" / "rdbkeeper"
TEMPLATE = read_template(REPOSITORY / "template.yaml")

# Actions that no line of the code calls, and why a role has them all the same.
NEEDED_BY = {
    "iam:PassRole": "CreateFunction and CreateSchedule, which name a role",
    "lambda:CheckpointDurableExecution": "the durable execution SDK",
    "lambda:GetDurableExecutionState": "the durable execution SDK",
    "lambda:GetLayerVersion": "CreateFunction with a layer",
    "lambda:InvokeFunction": "EventBridge Scheduler, with its own role",
    "lambda:ListTags": "GetFunction, whose answer has the tags only then",
    "lambda:TagResource": "CreateFunction with tags",
    "logs:CreateLogStream": "the Lambda runtime",
    "logs:PutLogEvents": "the Lambda runtime",
    "logs:TagResource": "CreateLogGroup with tags",
    "s3:GetBucketAcl": "CopySnapshot into a bucket",
    "s3:GetBucketLocation": "CopySnapshot into a bucket",
    "s3:ListAllMyBuckets": "CopySnapshot into a bucket",
}


def of_type(type_: str) -> list[Resource]:
    return [resource for resource in TEMPLATE.resources.values() if resource.type == type_]


def statements() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for role in of_type("AWS::IAM::Role"):
        for policy in role.properties["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield f"{role.logical_id}.{statement['Sid']}", statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def permitted(role: str = "") -> set[str]:
    """Every action that the roles allow, or one of them."""
    return {
        action for name, statement in statements() if name.startswith(role) for action in as_list(statement["Action"])
    }


# Which code runs under which role; what the manager calls of a shared adapter is named action by action.
RUN_RULE_CODE = [LAYER / "sources", LAYER / "vaults", LAYER / "aws" / "executions.py"]
RUN_RULE_TABLE = {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:PutItem", "dynamodb:DeleteItem"}
RUN_RULE_OTHERS = {"lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"}
MANAGE_RULES_CODE = [LAYER / "aws" / "fleet.py", LAYER / "aws" / "rule_table.py"]
MANAGE_RULES_OTHERS = {
    "elasticache:DescribeReplicationGroups",  # find_instance
    "elasticache:DescribeCacheClusters",
    "s3:AbortMultipartUpload",  # the uploads of a deleted rule
    "iam:PassRole",
    "lambda:GetLayerVersion",
    "lambda:ListTags",
    "lambda:TagResource",
}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_no_role_may_delete_a_version_or_do_everything() -> None:
    assert not [action for action in permitted() if "*" in action]
    assert "s3:DeleteObjectVersion" not in permitted()


def test_only_the_one_action_without_resources_is_allowed_on_everything() -> None:
    open_ended = {name for name, statement in statements() if "*" in as_list(statement["Resource"])}
    assert open_ended == {"RunRuleRole.LetElastiCacheFindTheBucket"}


def test_every_call_of_the_code_is_permitted() -> None:
    called = called_actions(LAYER / "aws", LAYER / "sources", LAYER / "vaults")
    assert not {action: file for action, file in called.items() if action not in permitted()}


def test_each_function_has_in_its_own_role_what_its_code_calls_and_nothing_else() -> None:
    for_export = {"s3:GetBucketAcl", "s3:GetBucketLocation", "s3:ListAllMyBuckets"}
    run_rule = set(called_actions(*RUN_RULE_CODE)) | RUN_RULE_TABLE | RUN_RULE_OTHERS | for_export | LOGGING
    assert permitted("RunRuleRole.") == run_rule
    manage_rules = set(called_actions(*MANAGE_RULES_CODE)) | MANAGE_RULES_OTHERS | LOGGING
    assert permitted("ManageRulesRole.") - {"logs:TagResource"} == manage_rules
    assert permitted("SchedulerRole.") == {"lambda:InvokeFunction"}


def test_every_permission_is_used() -> None:
    called = called_actions(LAYER / "aws", LAYER / "sources", LAYER / "vaults")
    assert permitted() - set(called) == set(NEEDED_BY)


def test_a_role_is_passed_to_one_service_only() -> None:
    passing = [statement for _, statement in statements() if "iam:PassRole" in as_list(statement["Action"])]
    assert {statement["Condition"]["StringEquals"]["iam:PassedToService"] for statement in passing} == {
        "lambda.amazonaws.com",
        "scheduler.amazonaws.com",
    }
    assert all(isinstance(statement["Resource"], dict) for statement in passing)


def test_scheduler_takes_its_role_for_this_stack_s_group_only() -> None:
    trust = TEMPLATE.resources["SchedulerRole"].properties["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:SourceArn": {"Fn::GetAtt": ["ScheduleGroup", "Arn"]},
    }


def test_the_prototype_is_durable_and_lives_as_long_as_a_run() -> None:
    durable = TEMPLATE.resources["RunRuleFunction"].properties["DurableConfig"]
    assert durable == {"ExecutionTimeout": 86_400, "RetentionPeriodInDays": 14}


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"), ids=lambda function: function.logical_id)
def test_each_handler_is_where_the_template_says(function: Resource) -> None:
    module, _, name = function.properties["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
    assert (REPOSITORY / function.properties["CodeUri"] / Path(*module.split("."))).with_suffix(".py").is_file()


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"), ids=lambda function: function.logical_id)
def test_each_function_logs_into_its_own_group(function: Resource) -> None:
    group = TEMPLATE.resources[function.properties["LoggingConfig"]["LogGroup"]["Ref"]].properties["LogGroupName"]
    assert group == {"Fn::Sub": "/aws/lambda/" + function.properties["FunctionName"]["Fn::Sub"]}


class AskedFor(dict[str, str]):
    """An environment that has everything, and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> str:
        self.names.add(name)
        return "1"

    def __getitem__(self, name: str) -> str:
        return self.get(name)

    def __contains__(self, name: object) -> bool:
        return bool(self.get(str(name)))


def asked_for(settings: Any) -> set[str]:
    environment = AskedFor()
    settings.from_environment(environment)
    return environment.names


def given_to(logical_id: str) -> set[str]:
    variables = TEMPLATE.resources[logical_id].properties["Environment"]["Variables"]
    return {name for name in variables if name.startswith("RDBKEEPER_")}


def test_each_function_is_given_what_its_settings_ask_for() -> None:
    assert asked_for(RunSettings) - {RULE_VARIABLE} <= given_to("RunRuleFunction")
    assert asked_for(ManageSettings) <= given_to("ManageRulesFunction")


def test_nothing_is_given_that_no_settings_ask_for() -> None:
    read = asked_for(RunSettings) | asked_for(ManageSettings)
    assert given_to("RunRuleFunction") | given_to("ManageRulesFunction") <= read
    assert RULE_VARIABLE not in given_to("RunRuleFunction")


def test_the_vault_and_the_table_outlive_the_stack() -> None:
    text = (REPOSITORY / "template.yaml").read_text(encoding="utf-8")
    for name in ("Table", "VaultBucket", "VaultBucketPolicy"):
        body = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
        assert body
        assert "    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n" in body[1]


@pytest.mark.parametrize("bucket", of_type("AWS::S3::Bucket"), ids=lambda bucket: bucket.logical_id)
def test_buckets_are_private_and_restorable_from(bucket: Resource) -> None:
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    encryption = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    policies = [
        policy
        for policy in of_type("AWS::S3::BucketPolicy")
        if policy.properties["Bucket"] == {"Ref": bucket.logical_id}
    ]
    (policy,) = policies
    denied = [part for part in policy.properties["PolicyDocument"]["Statement"] if part["Effect"] == "Deny"]
    assert [part["Condition"] for part in denied] == [{"Bool": {"aws:SecureTransport": False}}]


def test_a_rule_s_function_name_fits_beside_the_longest_stack_name() -> None:
    longest_stack, longest_rule = 27, 31
    assert len("s" * longest_stack + "-rule-" + "r" * longest_rule) <= 64
