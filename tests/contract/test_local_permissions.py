"""How the local cloud decides who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.contract.lambda_lab import Lab, code_of, lab, trust
from tests.local_cloud.permissions.conditions import PolicyError
from tests.local_cloud.permissions.gate import NotAllowedError
from tests.local_cloud.permissions.policy import Need, decide, read_statements
from tests.local_cloud.permissions.record import RECORD, Use
from tests.local_cloud.permissions.roles import access_key_of
from tests.local_cloud.server import LocalCloud

__all__ = ["lab"]
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/Table"


def allowing(**statement: Any) -> str:
    body = {"Sid": "One", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": TABLE, **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [body]})


def allows(document: str, action: str = "dynamodb:GetItem", resource: str = TABLE, **context: Any) -> bool:
    values = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return decide(Need(action, resource, values), read_statements(document)).allowed


# ------------------------------------------------------------------------------------------------- statements


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    assert allows(allowing())
    assert not allows(allowing(), "dynamodb:PutItem")
    assert not allows(allowing(), resource=TABLE + "2")


def test_actions_ignore_case_and_resources_do_not() -> None:
    assert allows(allowing(Action="DynamoDB:get*"))
    assert not allows(allowing(Resource=TABLE.lower()))


def test_stars_and_question_marks_stand_for_any_characters_and_one() -> None:
    assert allows(allowing(Resource="arn:aws:dynamodb:*:table/T?ble"))
    assert not allows(allowing(Resource="arn:aws:dynamodb:*:table/Table?"))
    assert not allows(allowing(Resource=TABLE.replace("/", ".")), resource=TABLE)


def test_not_action_and_not_resource_are_about_all_others() -> None:
    everything_but_reading = json.loads(allowing(NotAction="dynamodb:Get*"))
    del everything_but_reading["Statement"][0]["Action"]
    assert allows(json.dumps(everything_but_reading), "dynamodb:PutItem")
    assert not allows(json.dumps(everything_but_reading))
    elsewhere = json.loads(allowing(NotResource=TABLE))
    del elsewhere["Statement"][0]["Resource"]
    assert allows(json.dumps(elsewhere), resource=TABLE + "2")
    assert not allows(json.dumps(elsewhere))


def test_a_deny_ends_it() -> None:
    denied = read_statements(allowing(Effect="Deny", Action="dynamodb:*"))
    verdict = decide(Need("dynamodb:GetItem", TABLE), read_statements(allowing()) + denied)
    assert verdict.refusal == "with an explicit deny in an identity-based policy"
    of_resource = decide(Need("dynamodb:GetItem", TABLE), read_statements(allowing()), resource=denied)
    assert of_resource.refusal == "with an explicit deny in a resource-based policy"


def test_a_boundary_only_takes_away() -> None:
    boundary = read_statements(allowing(Action="dynamodb:*Item"))
    granted = read_statements(allowing(Action=["dynamodb:GetItem", "dynamodb:Scan"]))
    assert decide(Need("dynamodb:GetItem", TABLE), granted, boundary).allowed
    assert not decide(Need("dynamodb:Scan", TABLE), granted, boundary).allowed
    assert not decide(Need("dynamodb:PutItem", TABLE), granted, boundary).allowed
    assert not decide(Need("dynamodb:GetItem", TABLE), granted, ()).allowed


# ------------------------------------------------------------------------------------------------- conditions

PASSED = "iam:PassedToService"
KEYS = "dynamodb:LeadingKeys"
CONDITIONS = [
    ({"StringEquals": {PASSED: ["a", "b"]}}, {"iam__PassedToService": ("b",)}, True),
    ({"StringEquals": {PASSED: "a"}}, {"iam__PassedToService": ("b",)}, False),
    ({"StringEquals": {PASSED: "a"}}, {}, False),
    ({"StringEqualsIfExists": {PASSED: "a"}}, {}, True),
    ({"StringEqualsIfExists": {PASSED: "a"}}, {"iam__PassedToService": ("b",)}, False),
    ({"StringNotEquals": {PASSED: "a"}}, {}, True),
    ({"StringNotEquals": {PASSED: ["a", "b"]}}, {"iam__PassedToService": ("b",)}, False),
    ({"StringEqualsIgnoreCase": {PASSED: "A"}}, {"iam__PassedToService": ("a",)}, True),
    ({"StringLike": {PASSED: "sched*"}}, {"iam__PassedToService": ("scheduler",)}, True),
    ({"StringNotLike": {PASSED: "sched*"}}, {"iam__PassedToService": ("scheduler",)}, False),
    ({"Bool": {"aws:SecureTransport": False}}, {"aws__SecureTransport": ("true",)}, False),
    ({"Bool": {"aws:SecureTransport": True}}, {"aws__SecureTransport": ("true",)}, True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/?"}}, {"aws__PrincipalArn": ("arn:aws:iam::1:role/a",)},
     True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:*:role/a"}}, {"aws__PrincipalArn": ("arn:aws:iam::1:role/a",)}, False),
    ({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::1:role/*"}}, {"aws__PrincipalArn": ("arn:aws:iam::1:role/a",)},
     False),
    ({"Null": {PASSED: "true"}}, {}, True),
    ({"Null": {PASSED: "false"}}, {}, False),
    ({"Null": {KEYS: False}}, {"dynamodb__LeadingKeys": ("rules",)}, True),
    ({"ForAllValues:StringLike": {KEYS: "rule#*"}}, {"dynamodb__LeadingKeys": ("rule#a", "rule#b")}, True),
    ({"ForAllValues:StringLike": {KEYS: "rule#*"}}, {"dynamodb__LeadingKeys": ("rule#a", "rules")}, False),
    ({"ForAllValues:StringLike": {KEYS: "rule#*"}}, {}, True),
    ({"ForAllValues:StringLike": {KEYS: "rule#*"}, "Null": {KEYS: "false"}}, {}, False),
    ({"ForAllValues:StringNotLike": {KEYS: "rule#*"}}, {"dynamodb__LeadingKeys": ("a", "rule#a")}, False),
    ({"ForAnyValue:StringEquals": {KEYS: "rules"}}, {"dynamodb__LeadingKeys": ("a", "rules")}, True),
    ({"ForAnyValue:StringEquals": {KEYS: "rules"}}, {}, False),
    ({"StringEquals": {"aws:ResourceTag/rdbkeeper:stack": "a"}}, {"aws__ResourceTag/rdbkeeper:stack": ("a",)}, True),
    ({"StringEquals": {"aws:ResourceTag/rdbkeeper:stack": "a"}}, {}, False),
    ({"StringEquals": {PASSED: "a", "s3:prefix": "b"}}, {"iam__PassedToService": ("a",)}, False),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "context", "holds"), CONDITIONS)
def test_a_condition_holds_as_iam_says(condition: dict[str, Any], context: dict[str, Any], holds: bool) -> None:
    assert allows(allowing(Condition=condition), **context) is holds


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-11-21T00:00:00Z"}}},
        {"Condition": {"StringEquals": {"aws:SourceVpc": "a"}}},
        {"Condition": {"StringEquals": {"dynamodb:LeadingKeys": "rules"}}},
        {"Resource": "arn:aws:dynamodb:*:table/${aws:username}"},
        {"NotPrincipal": "*"},
    ],
    ids=["operator", "key", "set operator", "variable", "element"],
)
def test_what_is_not_evaluated_here_is_an_error(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        allows(allowing(**statement))


# --------------------------------------------------------------------------------------------------- the gate


class Visitor:
    """A role of its own, and clients that sign with it."""

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        self.name = name
        self._cloud = cloud
        self._iam = cloud.client("iam")
        role = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))["Role"]
        self._session = boto3.Session(access_key_of(role["Arn"]), "secret", region_name=cloud.region)
        self._clients: dict[str, Any] = {}

    def may(self, *actions: str, resource: str = "*") -> None:
        policy = allowing(Action=list(actions), Resource=resource)
        self._iam.put_role_policy(RoleName=self.name, PolicyName="may", PolicyDocument=policy)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            options = {"endpoint_url": self._cloud.endpoint_url, "config": Config(retries={"total_max_attempts": 1})}
            self._clients[service] = self._session.client(service, **options)
        return self._clients[service]

    def leave(self) -> None:
        for client in self._clients.values():
            client.close()


@pytest.fixture(scope="module")
def visitor(cloud: LocalCloud) -> Iterator[Visitor]:
    visitor = Visitor(cloud, "visitor")
    yield visitor
    visitor.leave()


REFUSED = [
    ("lambda", "list_functions", {}, "AccessDeniedException"),
    ("scheduler", "list_schedules", {}, "AccessDeniedException"),
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}}, "AccessDeniedException"),
    ("logs", "describe_log_groups", {}, "AccessDeniedException"),
    ("cloudwatch", "describe_alarms", {}, "AccessDenied"),
    ("resourcegroupstaggingapi", "get_resources", {}, "AccessDeniedException"),
    ("elasticache", "describe_snapshots", {}, "AccessDenied"),
    ("s3", "list_objects_v2", {"Bucket": "b"}, "AccessDenied"),
    ("s3", "head_object", {"Bucket": "b", "Key": "k"}, "403"),
]


@pytest.mark.parametrize(("service", "operation", "parameters", "code"), REFUSED)
def test_each_service_refuses_in_its_own_words(
    visitor: Visitor, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    visitor.may("sts:GetCallerIdentity")
    assert code_of(lambda: getattr(visitor.client(service), operation)(**parameters)) == code


def test_a_refusal_names_the_role_the_action_and_the_resource(visitor: Visitor) -> None:
    visitor.may("sts:GetCallerIdentity")
    with pytest.raises(ClientError) as caught:
        visitor.client("lambda").get_function(FunctionName="nothing")
    assert caught.value.response["Error"]["Message"] == (
        "User: arn:aws:sts::000000000000:assumed-role/visitor/local-cloud is not authorized to perform: "
        "lambda:GetFunction on resource: arn:aws:lambda:us-east-1:000000000000:function:nothing "
        "because no identity-based policy allows the lambda:GetFunction action"
    )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_what_a_role_may_do_is_done_and_recorded_with_the_statement_that_allows_it(visitor: Visitor) -> None:
    visitor.may("lambda:ListFunctions")
    visitor.client("lambda").list_functions()
    assert Use("visitor", "One", "lambda:ListFunctions", "*") in RECORD.uses


def test_a_call_that_is_not_known_is_refused_and_recorded(visitor: Visitor) -> None:
    visitor.may("*")
    assert code_of(lambda: visitor.client("lambda").get_account_settings()) == "AccessDeniedException"
    assert any("lambda: GetAccountSettings" in refusal.action for refusal in RECORD.refusals)


def test_who_signs_with_other_keys_may_do_everything_and_is_not_recorded(cloud: LocalCloud) -> None:
    before = len(RECORD.allowed)
    cloud.client("lambda").list_functions()
    assert len(RECORD.allowed) == before


def test_a_boundary_and_a_bucket_s_policy_count(cloud: LocalCloud, visitor: Visitor) -> None:
    cloud.client("s3").create_bucket(Bucket="guarded")
    visitor.may("s3:*")
    s3 = visitor.client("s3")
    s3.put_object(Bucket="guarded", Key="k", Body=b"x")
    denied = {"Sid": "No", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}
    cloud.client("s3").put_bucket_policy(Bucket="guarded", Policy=json.dumps({"Statement": [denied]}))
    assert code_of(lambda: s3.put_object(Bucket="guarded", Key="k", Body=b"x")) == "AccessDenied"
    s3.head_object(Bucket="guarded", Key="k")

    iam = cloud.client("iam")
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=allowing(Action="s3:ListBucket", Resource="*"))
    iam.put_role_permissions_boundary(RoleName="visitor", PermissionsBoundary=boundary["Policy"]["Arn"])
    assert code_of(lambda: s3.head_object(Bucket="guarded", Key="k")) == "403"
    s3.list_objects_v2(Bucket="guarded")
    iam.delete_role_permissions_boundary(RoleName="visitor")


def test_who_may_not_list_a_bucket_is_not_told_that_an_object_is_missing(cloud: LocalCloud, visitor: Visitor) -> None:
    cloud.client("s3").create_bucket(Bucket="silent")
    visitor.may("s3:GetObject")
    assert code_of(lambda: visitor.client("s3").get_object(Bucket="silent", Key="k")) == "AccessDenied"
    visitor.may("s3:GetObject", "s3:ListBucket")
    assert code_of(lambda: visitor.client("s3").get_object(Bucket="silent", Key="k")) == "NoSuchKey"


def test_a_function_s_tags_are_told_to_those_who_may_list_them(lab: Lab, visitor: Visitor) -> None:
    name = lab.make(Tags={"colour": "red"})
    visitor.may("lambda:GetFunction")
    assert "Tags" not in visitor.client("lambda").get_function(FunctionName=name)
    visitor.may("lambda:GetFunction", "lambda:ListTags")
    assert visitor.client("lambda").get_function(FunctionName=name)["Tags"] == {"colour": "red"}


def test_a_function_has_the_rights_of_its_role_and_no_others(lab: Lab) -> None:
    source = """
        import boto3

        def handler(event, context):
            boto3.client("s3").list_buckets()
    """
    name = lab.make(source, Layers=[lab.layer])
    assert "AccessDenied" in lab.call(name)["errorMessage"]


def test_lines_that_a_role_may_not_log_are_lost(lab: Lab) -> None:
    role = Visitor(lab.cloud, "silent")
    role.may("s3:*")
    lab.cloud.client("logs").create_log_group(logGroupName="/aws/lambda/quiet")
    lab.make("def handler(event, context):\n    print('nobody hears')", FunctionName="quiet",
             Role="arn:aws:iam::000000000000:role/silent")  # fmt: skip
    lab.call("quiet")
    assert lab.log_lines("/aws/lambda/quiet") == []
    assert any("nobody hears" in lost.lines for lost in lab.cloud.functions.lost_logs)


def test_a_schedule_starts_only_what_its_role_may_invoke(lab: Lab) -> None:
    lab.make(FunctionName="timed")
    schedule = {"GroupName": "default", "Name": "timed", "FlexibleTimeWindow": {"Mode": "OFF"}}
    target = {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:timed", "RoleArn": lab.scheduler_role}
    lab.cloud.client("scheduler").create_schedule(ScheduleExpression="rate(1 hours)", Target=target, **schedule)
    lab.cloud.fire("default", "timed")
    lab.cloud.client("iam").delete_role_policy(RoleName="scheduler", PolicyName="scheduler")
    with pytest.raises(NotAllowedError, match="not authorized to perform: lambda:InvokeFunction on resource: "):
        lab.cloud.fire("default", "timed")
