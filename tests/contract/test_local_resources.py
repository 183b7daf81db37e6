"""The local cloud makes, changes and removes each kind of resource as CloudFormation and SAM do."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.contract.lambda_lab import code_of
from tests.contract.stack_lab import FUNCTION, ROLE, StackLab
from tests.local_cloud.server import LocalCloud
from tests.local_cloud.stack.parts import StackError
from tests.local_cloud.template_reader import TemplateError, read_template
from tests.local_cloud.template_values import Resolver, parameter_values

_numbers = itertools.count(1)


@pytest.fixture
def lab(cloud: LocalCloud, tmp_path: Path) -> StackLab:
    return StackLab(cloud, tmp_path, f"resources-{next(_numbers):03d}")


# Timers


TIMED = FUNCTION.replace(
    "Runtime:",
    """Events:
          Tick:
            Type: ScheduleV2
            Properties:
              Name: !Sub ${AWS::StackName}-tick
              ScheduleExpression: !Sub rate(${Number} hours)
              Input: '{"action": "tick"}'
              RetryPolicy: {MaximumRetryAttempts: 2}
        Runtime:""",
)


def test_an_event_of_a_function_is_a_schedule_with_a_role_that_may_invoke_it(lab: StackLab) -> None:
    lab.write(ROLE + TIMED)
    deployment = lab.deploy(Number="2")
    scheduler, iam = lab.cloud.client("scheduler"), lab.cloud.client("iam")
    schedule = scheduler.get_schedule(Name=f"{lab.name}-tick")
    assert (schedule["ScheduleExpression"], schedule["FlexibleTimeWindow"]) == ("rate(2 hours)", {"Mode": "OFF"})
    assert schedule["Target"]["Arn"] == deployment.arns["Function"]
    assert schedule["Target"]["RoleArn"] == deployment.arns["FunctionTickRole"]
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 2
    role = deployment.resources["FunctionTickRole"]
    policy = iam.get_role_policy(RoleName=role, PolicyName="FunctionTickLambdaPolicy")["PolicyDocument"]
    assert policy["Statement"][0]["Resource"] == deployment.arns["Function"]
    lab.deploy(Number="3")
    assert scheduler.get_schedule(Name=f"{lab.name}-tick")["ScheduleExpression"] == "rate(3 hours)"
    lab.cloud.delete_stack(deployment)
    assert code_of(lambda: scheduler.get_schedule(Name=f"{lab.name}-tick")) == "ResourceNotFoundException"
    assert code_of(lambda: iam.get_role(RoleName=role)) == "NoSuchEntity"


def test_a_schedule_invokes_a_function_that_is_not_durable(lab: StackLab) -> None:
    lab.write(ROLE + TIMED)
    function = lab.deploy(Number="2").resources["Function"]
    assert lab.cloud.fire("default", f"{lab.name}-tick") == ""
    lab.cloud.functions.wait_until_idle(function)
    assert lab.journal() == [{"action": "tick"}]


def test_an_event_that_is_no_schedule_is_not_understood(lab: StackLab) -> None:
    lab.write(ROLE + TIMED.replace("ScheduleV2", "Schedule"))
    with pytest.raises(TemplateError, match="only ScheduleV2"):
        lab.deploy(Number="2")


SCHEDULE = """
    Schedule:
      Type: AWS::Scheduler::Schedule
      Properties:
        GroupName: !Ref Group
        ScheduleExpression: rate(1 hour)
        FlexibleTimeWindow: {Mode: "OFF"}
        State: !If [IsRed, DISABLED, ENABLED]
        Target: {Arn: !GetAtt Function.Arn, RoleArn: !GetAtt TimerRole.Arn}
    Group:
      Type: AWS::Scheduler::ScheduleGroup
      Properties: {Name: !Ref AWS::StackName}
    TimerRole:
      Type: AWS::IAM::Role
      Properties:
        ManagedPolicyArns: [!Ref Invoking, !If [IsRed, !Ref AWS::NoValue, !Ref Other]]
        AssumeRolePolicyDocument:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {Service: scheduler.amazonaws.com}, Action: sts:AssumeRole}]
    Invoking:
      Type: AWS::IAM::ManagedPolicy
      Properties:
        PolicyDocument:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "lambda:*", Resource: !GetAtt Function.Arn, Sid: !Ref Colour}]
    Other:
      Type: AWS::IAM::ManagedPolicy
      Properties:
        PolicyDocument:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "sns:Publish", Resource: "*"}]
"""
IS_RED = "Conditions: {IsRed: !Equals [!Ref Colour, red]}"


def test_schedules_and_managed_policies_follow_the_template(lab: StackLab) -> None:
    lab.write(ROLE + FUNCTION + SCHEDULE, IS_RED)
    scheduler, iam = lab.cloud.client("scheduler"), lab.cloud.client("iam")

    def seen() -> tuple[str, list[str], str]:
        deployment = lab.deploy(Colour=colour)
        schedule = scheduler.get_schedule(GroupName=lab.name, Name=deployment.resources["Schedule"])
        attached = iam.list_attached_role_policies(RoleName=deployment.resources["TimerRole"])["AttachedPolicies"]
        policy = deployment.resources["Invoking"]
        version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]["Document"]
        names = {arn: name for name, arn in deployment.resources.items()}
        return schedule["State"], sorted(names[one["PolicyArn"]] for one in attached), document["Statement"][0]["Sid"]

    for colour in ("red", "blue", "red", "green", "brown", "black", "white"):
        state = ("DISABLED", ["Invoking"]) if colour == "red" else ("ENABLED", ["Invoking", "Other"])
        assert seen() == (*state, colour)
    lab.cloud.delete_stack(lab.name)
    assert code_of(lambda: scheduler.get_schedule_group(Name=lab.name)) == "ResourceNotFoundException"
    assert [one for one in iam.list_policies(Scope="Local")["Policies"] if one["PolicyName"].startswith(lab.name)] == []


def test_a_policy_that_iam_would_find_too_long_is_refused(lab: StackLab) -> None:
    long = SCHEDULE.replace("Resource: !GetAtt Function.Arn", 'Resource: ["' + "x" * 6_144 + '"]')
    lab.write(ROLE + FUNCTION + long, IS_RED)
    with pytest.raises(StackError, match="6,144 can be"):
        lab.deploy()


# Alarms


ALARM = """
    Topic:
      Type: AWS::SNS::Topic
      Properties: {DisplayName: !Ref Colour}
    Subscription:
      Type: AWS::SNS::Subscription
      Condition: IsRed
      Properties: {TopicArn: !Ref Topic, Protocol: email, Endpoint: !Sub "${Colour}@example.com"}
    Alarm:
      Type: AWS::CloudWatch::Alarm
      Properties:
        AlarmName: !Sub ${AWS::StackName}-silent
        Namespace: rdbkeeper
        MetricName: Reconciled
        Dimensions: [{Name: stack, Value: !Ref AWS::StackName}]
        Statistic: Sum
        Period: 3600
        EvaluationPeriods: !Ref Number
        Threshold: 1
        ComparisonOperator: LessThanThreshold
        TreatMissingData: breaching
        AlarmActions: [!Ref Topic]
"""


def test_alarms_and_topics_follow_the_template(lab: StackLab) -> None:
    lab.write(ALARM, IS_RED)
    deployment = lab.deploy(Number="3")
    cloudwatch, sns = lab.cloud.client("cloudwatch"), lab.cloud.client("sns")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{lab.name}-silent"])["MetricAlarms"]
    assert (alarm["EvaluationPeriods"], alarm["AlarmActions"]) == (3, [deployment.resources["Topic"]])
    assert deployment.arns["Alarm"] == alarm["AlarmArn"]
    topic = {"TopicArn": deployment.resources["Topic"]}
    (subscription,) = sns.list_subscriptions_by_topic(**topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "red@example.com")
    lab.deploy(Number="4", Colour="blue")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"{lab.name}-silent"])["MetricAlarms"]
    assert alarm["EvaluationPeriods"] == 4
    assert sns.list_subscriptions_by_topic(**topic)["Subscriptions"] == []
    assert sns.get_topic_attributes(**topic)["Attributes"]["DisplayName"] == "blue"
    lab.cloud.delete_stack(deployment)
    assert cloudwatch.describe_alarms(AlarmNames=[f"{lab.name}-silent"])["MetricAlarms"] == []
    assert code_of(lambda: sns.get_topic_attributes(**topic)) == "NotFound"


def test_another_subscription_takes_the_place_of_the_first(lab: StackLab) -> None:
    lab.write(ALARM.replace("Condition: IsRed", "DependsOn: Topic"))
    topic = lab.deploy(Number="3").resources["Topic"]
    lab.deploy(Colour="blue")
    (subscription,) = lab.cloud.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert subscription["Endpoint"] == "blue@example.com"


# Versions and layers


PUBLISHED = FUNCTION.replace(
    "Runtime:", "AutoPublishAlias: live\n        VersionDeletionPolicy: Delete\n        Runtime:"
)
VERSION = "Outputs: {Version: {Value: !Ref Function.Version}, Alias: {Value: !Ref Function.Alias}}"


def versions(lab: StackLab) -> list[str]:
    listed = lab.cloud.client("lambda").list_versions_by_function(FunctionName=f"{lab.name}-answering")["Versions"]
    return [one["Version"] for one in listed]


def test_new_code_is_published_and_the_alias_moved(lab: StackLab) -> None:
    lab.write(ROLE + PUBLISHED, VERSION)
    first = lab.deploy()
    assert first.outputs == {"Version": f"{first.arns['Function']}:1", "Alias": f"{first.arns['Function']}:live"}
    lab.deploy(Colour="blue")
    assert versions(lab) == ["$LATEST", "1"]
    lab.write_code("def handler(event, context): return 2")
    assert lab.deploy().outputs["Version"].endswith(":2")
    assert versions(lab) == ["$LATEST", "2"]
    alias = lab.cloud.client("lambda").get_alias(FunctionName=f"{lab.name}-answering", Name="live")
    assert alias["FunctionVersion"] == "2"


def test_another_text_of_the_function_is_published_when_all_properties_count(lab: StackLab) -> None:
    counting = PUBLISHED.replace("AutoPublishAlias:", "AutoPublishAliasAllProperties: true\n        AutoPublishAlias:")
    lab.write(ROLE + counting, VERSION)
    lab.deploy()
    lab.write(ROLE + counting.replace("Timeout: 60", "Timeout: 9"), VERSION)
    assert lab.deploy().outputs["Version"].endswith(":2")
    lab.write(ROLE + counting.replace("Timeout: 60", "Timeout: 9\n        Tags: {a: b}"), VERSION)
    with pytest.raises(StackError, match="exists"):
        lab.deploy()


LAYER = """
    Layer:
      Type: AWS::Serverless::LayerVersion
      Metadata: {BuildMethod: python3.13}
      Properties: {LayerName: !Ref AWS::StackName, Description: !Ref Colour, ContentUri: layer, RetentionPolicy: Delete}
"""


def write_layer(folder: Path, source: str) -> None:
    (folder / "layer").mkdir(exist_ok=True)
    (folder / "layer" / "requirements.txt").write_text("# nothing\n")
    (folder / "layer" / "shade.py").write_text(source)


def test_a_layer_has_a_new_version_for_new_content_a_new_description_or_a_note(lab: StackLab, tmp_path: Path) -> None:
    lab.write(ROLE + LAYER + FUNCTION.replace("Runtime:", "Layers: [!Ref Layer]\n        Runtime:"))
    write_layer(tmp_path, "SHADE = 1")

    def version(**options: Any) -> str:
        deployment = lab.deploy(**options)
        found = lab.cloud.client("lambda").get_function_configuration(FunctionName=deployment.resources["Function"])
        assert [layer["Arn"] for layer in found["Layers"]] == [deployment.resources["Layer"]]
        return deployment.resources["Layer"].rpartition(":")[2]

    assert [version(), version()] == ["1", "1"]
    write_layer(tmp_path, "SHADE = 2")
    assert [version(), version(Colour="blue"), version(layer_note="2"), version(layer_note="2")] == ["2", "3", "4", "4"]
    listed = lab.cloud.client("lambda").list_layer_versions(LayerName=lab.name)["LayerVersions"]
    assert [one["Version"] for one in listed] == [4]


def test_a_layers_older_versions_stay_unless_it_is_said_otherwise(lab: StackLab, tmp_path: Path) -> None:
    lab.write(LAYER.replace(", RetentionPolicy: Delete", ""))
    write_layer(tmp_path, "SHADE = 1")
    lab.deploy()
    lab.cloud.delete_stack(lab.deploy(layer_note="2"))
    listed = lab.cloud.client("lambda").list_layer_versions(LayerName=lab.name)["LayerVersions"]
    assert sorted(one["Version"] for one in listed) == [1, 2]


# Tables and log groups


def test_a_tables_time_to_live_and_a_log_groups_retention_follow_the_template(lab: StackLab) -> None:
    resources = """
    Table:
      Type: AWS::DynamoDB::Table
      Properties:
        BillingMode: PAY_PER_REQUEST
        AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
        KeySchema: [{AttributeName: pk, KeyType: HASH}]
        TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
    Logs:
      Type: AWS::Logs::LogGroup
      Properties: {LogGroupName: !Sub "/${AWS::StackName}", RetentionInDays: !Ref Number}
    """
    lab.write(resources)
    table = lab.deploy(Number="7").resources["Table"]
    described = lab.cloud.client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert described == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}
    lab.write(resources.replace("Enabled: true", "Enabled: false"))
    lab.deploy(Number="90")
    described = lab.cloud.client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert described["TimeToLiveStatus"] == "DISABLED"
    (group,) = lab.cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/{lab.name}")["logGroups"]
    assert group["retentionInDays"] == 90
    lab.write(resources.replace("AttributeType: S", "AttributeType: N"))
    with pytest.raises(StackError, match="AttributeDefinitions cannot change"):
        lab.deploy()


def test_a_bucket_is_made_for_locks_and_a_lock_of_every_object_is_not_understood(lab: StackLab) -> None:
    resources = """
    Bucket:
      Type: AWS::S3::Bucket
      Properties:
        ObjectLockEnabled: true
        ObjectLockConfiguration: {ObjectLockEnabled: Enabled}
        LifecycleConfiguration: {Rules: [{Id: markers, Status: Enabled, ExpiredObjectDeleteMarker: true}]}
    """
    lab.write(resources)
    bucket = lab.deploy().resources["Bucket"]
    s3 = lab.cloud.client("s3")
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    lab.write(resources.replace("ObjectLockEnabled: true", "ObjectLockEnabled: false"))
    with pytest.raises(StackError, match="ObjectLockEnabled cannot change"):
        lab.deploy()
    lock = "{ObjectLockEnabled: Enabled, Rule: {DefaultRetention: {Mode: COMPLIANCE, Days: 1}}}"
    lab.write(resources.replace("{ObjectLockEnabled: Enabled}", lock).replace("Bucket:\n", "Other:\n", 1))
    with pytest.raises(TemplateError, match="ObjectLockConfiguration"):
        lab.deploy()


# Values


def test_a_list_of_values_is_a_list_wherever_it_is_referred_to(tmp_path: Path) -> None:
    text = """
Parameters:
  Roles: {Type: CommaDelimitedList, Default: "", AllowedPattern: "^$|^[a-z]+$"}
Conditions:
  Any: !Not [!Equals [!Join ["", !Ref Roles], ""]]
Resources:
  X:
    Type: T
    Properties:
      All: !Ref Roles
      Text: !Join [",", !Ref Roles]
      First: !Select [0, !Ref Roles]
      Again: !Split [",", "a,b"]
      Statement: [one, !If [Any, {Resource: !Ref Roles}, !Ref AWS::NoValue]]
"""
    (tmp_path / "template.yaml").write_text(text)
    template = read_template(tmp_path / "template.yaml")

    def resolved(**given: str) -> dict[str, Any]:
        values = parameter_values(template, given)
        answer: dict[str, Any] = Resolver(template, values, {}).resolve(template.resources["X"].properties)
        return answer

    assert resolved(Roles="a, b") == {
        "All": ["a", "b"],
        "Text": "a,b",
        "First": "a",
        "Again": ["a", "b"],
        "Statement": ["one", {"Resource": ["a", "b"]}],
    }
    assert resolved() == {"All": [""], "Text": "", "First": "", "Again": ["a", "b"], "Statement": ["one"]}
    with pytest.raises(TemplateError):
        parameter_values(template, {"Roles": "a,B"})


def test_a_list_cannot_be_put_into_a_text(tmp_path: Path) -> None:
    resources = "Resources: {X: {Type: T, Properties: {V: !Sub '${Names}'}}}"
    text = "Parameters: {Names: {Type: CommaDelimitedList}}\n" + resources
    (tmp_path / "template.yaml").write_text(text)
    template = read_template(tmp_path / "template.yaml")
    with pytest.raises(TemplateError, match="is no text"):
        Resolver(template, {"Names": "a,b"}, {}).resolve(template.resources["X"].properties)
