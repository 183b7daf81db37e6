"""The local cloud changes and removes stacks, and asks for custom resources, as CloudFormation does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.contract.lambda_lab import code_of
from tests.contract.stack_lab import ANSWERING, FLEET, FUNCTION, ROLE, StackLab
from tests.local_cloud.server import LocalCloud
from tests.local_cloud.stack.parts import StackError
from tests.local_cloud.template_reader import TemplateError

_numbers = itertools.count(1)


@pytest.fixture
def lab(cloud: LocalCloud, tmp_path: Path) -> StackLab:
    return StackLab(cloud, tmp_path, f"stack-{next(_numbers):03d}")


# Custom resources


def test_a_custom_resource_is_made_by_its_function_after_what_it_refers_to(lab: StackLab) -> None:
    outputs = "Outputs: {Count: {Value: !Sub 'has ${Fleet.Count}'}, Fleet: {Value: !Ref Fleet}}"
    lab.write(FLEET + ROLE + FUNCTION, outputs)
    deployment = lab.deploy()
    event, answered = lab.journal()
    assert event.pop("ResponseURL").startswith(f"{lab.cloud.endpoint_url}/_local/responses/")
    assert event.pop("RequestId")
    assert event.pop("StackId").startswith(f"arn:aws:cloudformation:us-east-1:000000000000:stack/{lab.name}/")
    assert event == {
        "RequestType": "Create",
        "ResourceType": "Custom::Fleet",
        "LogicalResourceId": "Fleet",
        "ResourceProperties": {
            "ServiceToken": deployment.arns["Function"],
            "How": "well",
            "Number": "1",
            "Colours": ["red", "7", "true"],
        },
    }
    assert answered == {"status": 200}
    assert deployment.resources["Fleet"] == "fleet-1"
    assert deployment.outputs == {"Count": "has 7", "Fleet": "fleet-1"}


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [
        ("failed", 200, "Create of Fleet failed: because it must"),
        ("never", None, "0 answers came .*not today"),
        ("twice", 200, "2 answers"),
        ("typed", 403, "0 answers"),
        ("unsigned", 403, "0 answers"),
        ("posted", 403, "0 answers"),
        ("large", 200, "4,096 can be"),
        ("nameless", 200, "PhysicalResourceId None"),
        ("someone else's", 200, "RequestId 'another'"),
    ],
)
def test_an_answer_that_cloudformation_would_not_take_fails_the_deploy(
    lab: StackLab, how: str, status: int | None, says: str
) -> None:
    with pytest.raises(StackError, match=says):
        lab.deploy(How=how)
    statuses = {note["status"] for note in lab.journal() if "status" in note}
    assert statuses == ({status} if status else set())


def test_a_custom_resource_is_updated_only_when_one_of_its_properties_has_changed(lab: StackLab) -> None:
    lab.deploy()
    lab.journal()
    lab.deploy()
    lab.write_code(ANSWERING + "    # changed\n")
    lab.deploy()
    assert lab.journal() == []
    lab.deploy(Colour="blue")
    (event,) = lab.asked()
    assert (event["RequestType"], event["PhysicalResourceId"]) == ("Update", "fleet-1")
    assert event["OldResourceProperties"]["Colours"] == ["red", "7", "true"]
    assert event["ResourceProperties"]["Colours"] == ["blue", "7", "true"]


def test_a_custom_resource_that_became_another_has_the_old_one_deleted(lab: StackLab) -> None:
    lab.deploy()
    lab.journal()
    assert lab.deploy(Number="2").resources["Fleet"] == "fleet-2"
    updated, deleted = lab.asked()
    assert (updated["RequestType"], updated["PhysicalResourceId"]) == ("Update", "fleet-1")
    assert (deleted["RequestType"], deleted["PhysicalResourceId"]) == ("Delete", "fleet-1")
    assert deleted["ResourceProperties"]["Number"] == "1"


def test_an_update_that_fails_can_be_deployed_again(lab: StackLab) -> None:
    lab.deploy()
    with pytest.raises(StackError, match="Update of Fleet failed"):
        lab.deploy(How="failed")
    lab.journal()
    lab.deploy(How="well", Colour="blue")
    (event,) = lab.asked()
    assert event["OldResourceProperties"]["How"] == "well"


def test_the_function_has_its_new_code_and_settings_when_the_custom_resource_asks_it(lab: StackLab) -> None:
    lab.deploy()
    source = ANSWERING.replace('{"Count": 7}', '{"Count": os.environ["COLOUR"]}')
    lab.write_code(source)
    lab.write(ROLE + FUNCTION + FLEET, "Outputs: {Count: {Value: !GetAtt Fleet.Count}}")
    assert lab.deploy(Colour="green").outputs == {"Count": "green"}


@pytest.mark.parametrize("timeout", ["0", "3601", "soon"])
def test_a_service_timeout_that_cannot_be_is_refused(lab: StackLab, timeout: str) -> None:
    lab.write(ROLE + FUNCTION + FLEET + f"\n        ServiceTimeout: {timeout}")
    with pytest.raises(TemplateError, match="ServiceTimeout"):
        lab.deploy()


# Deleting


KEPT = """
    Table:
      Type: AWS::DynamoDB::Table
      DeletionPolicy: Retain
      Properties:
        BillingMode: PAY_PER_REQUEST
        AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
        KeySchema: [{AttributeName: pk, KeyType: HASH}]
    Bucket:
      Type: AWS::S3::Bucket
      Properties: {}
"""


def test_deleting_a_stack_asks_the_custom_resource_first_and_leaves_what_is_retained(lab: StackLab) -> None:
    lab.write(ROLE + FUNCTION + FLEET + KEPT)
    deployment = lab.deploy()
    lab.journal()
    lab.cloud.delete_stack(deployment)
    event, _ = lab.journal()
    assert (event["RequestType"], event["PhysicalResourceId"]) == ("Delete", "fleet-1")
    assert lab.cloud.client("dynamodb").describe_table(TableName=deployment.resources["Table"])
    name = deployment.resources["Function"]
    missing = {"FunctionName": name}
    assert code_of(lambda: lab.cloud.client("lambda").get_function(**missing)) == "ResourceNotFoundException"
    assert code_of(lambda: lab.cloud.client("s3").head_bucket(Bucket=deployment.resources["Bucket"])) == "404"
    with pytest.raises(StackError, match="there is none"):
        lab.cloud.delete_stack(deployment)
    again = lab.deploy()
    assert again.resources["Table"] != deployment.resources["Table"]


def test_deleting_goes_no_further_than_a_custom_resource_that_fails(lab: StackLab) -> None:
    lab.write(ROLE + FUNCTION + FLEET + KEPT)
    deployment = lab.deploy(How="failed Delete")
    with pytest.raises(StackError, match="Delete of Fleet failed: because it must"):
        lab.cloud.delete_stack(deployment)
    assert lab.cloud.client("lambda").get_function(FunctionName=deployment.resources["Function"])
    assert lab.cloud.client("s3").head_bucket(Bucket=deployment.resources["Bucket"])
    lab.deploy(How="well")
    lab.cloud.delete_stack(deployment)


def test_what_needs_the_custom_resource_goes_before_it(lab: StackLab) -> None:
    after = """
    Group:
      Type: AWS::Scheduler::ScheduleGroup
      DependsOn: Fleet
      Properties: {Name: !Sub "${AWS::StackName}-after"}
    """
    lab.write(ROLE + FUNCTION + FLEET + KEPT + after)
    deployment = lab.deploy(How="failed Delete")
    with pytest.raises(StackError):
        lab.cloud.delete_stack(deployment)
    group = {"Name": deployment.resources["Group"]}
    assert code_of(lambda: lab.cloud.client("scheduler").get_schedule_group(**group)) == "ResourceNotFoundException"
    assert lab.cloud.client("s3").head_bucket(Bucket=deployment.resources["Bucket"])


def test_what_the_custom_resource_does_not_need_can_go_before_it(lab: StackLab) -> None:
    lab.write(ROLE + FUNCTION + FLEET + KEPT)
    deployment = lab.deploy(How="failed Delete")
    with pytest.raises(StackError):
        lab.cloud.delete_stack(deployment, unrelated_first=True)
    assert code_of(lambda: lab.cloud.client("s3").head_bucket(Bucket=deployment.resources["Bucket"])) == "404"
    assert lab.cloud.client("lambda").get_function(FunctionName=deployment.resources["Function"])


def test_a_bucket_that_is_not_empty_stays_and_is_said(lab: StackLab) -> None:
    lab.write(KEPT)
    deployment = lab.deploy()
    bucket = deployment.resources["Bucket"]
    lab.cloud.client("s3").put_object(Bucket=bucket, Key="left", Body=b"behind")
    assert code_of(lambda: lab.cloud.delete_stack(deployment)) == "BucketNotEmpty"
    lab.cloud.client("s3").delete_object(Bucket=bucket, Key="left")
    lab.cloud.delete_stack(deployment)


# Changing


def configuration(lab: StackLab, deployment: Any) -> dict[str, Any]:
    found: dict[str, Any] = lab.cloud.client("lambda").get_function_configuration(
        FunctionName=deployment.resources["Function"]
    )
    return found


def test_a_function_follows_its_code_and_its_settings(lab: StackLab) -> None:
    before = configuration(lab, lab.deploy())
    unchanged = configuration(lab, lab.deploy())
    assert unchanged["RevisionId"] == before["RevisionId"]
    lab.write_code(ANSWERING + "    # changed\n")
    lab.write(ROLE + FUNCTION.replace("Timeout: 60", "Timeout: 77\n        Tags: {a: b}") + FLEET)
    deployment = lab.deploy(Colour="blue")
    after = configuration(lab, deployment)
    assert (after["Timeout"], after["Environment"]["Variables"]["COLOUR"]) == (77, "blue")
    assert after["CodeSha256"] != before["CodeSha256"]
    tags = lab.cloud.client("lambda").list_tags(Resource=deployment.arns["Function"])["Tags"]
    assert tags == {"lambda:createdBy": "SAM", "a": "b"}
    lab.write(ROLE + FUNCTION.replace("        Timeout: 60\n", "") + FLEET)
    assert configuration(lab, lab.deploy())["Timeout"] == 3


def test_parameters_that_are_not_given_again_stay_as_they_were(lab: StackLab) -> None:
    lab.deploy(Colour="blue")
    assert configuration(lab, lab.deploy())["Environment"]["Variables"]["COLOUR"] == "blue"


def test_a_function_cannot_be_renamed_or_become_durable_in_place(lab: StackLab) -> None:
    lab.deploy()
    lab.write(ROLE + FUNCTION.replace("-answering", "-renamed") + FLEET)
    with pytest.raises(StackError, match="FunctionName cannot change"):
        lab.deploy()
    durable = "DurableConfig: {ExecutionTimeout: 60}\n        Runtime:"
    lab.write(ROLE + FUNCTION.replace("Runtime:", durable) + FLEET)
    with pytest.raises(StackError, match="DurableConfig"):
        lab.deploy()


def test_what_the_template_has_no_longer_is_removed_and_what_it_has_now_is_made(lab: StackLab) -> None:
    deployment = lab.deploy()
    lab.journal()
    lab.write(ROLE + FUNCTION + KEPT)
    changed = lab.deploy()
    assert [event["RequestType"] for event in lab.asked()] == ["Delete"]
    assert set(changed.resources) == {"Role", "Function", "Table", "Bucket"}
    assert changed.resources["Function"] == deployment.resources["Function"]
