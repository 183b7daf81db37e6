"""The local cloud changes, lists and tags functions as Lambda does."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.contract.lambda_lab import ECHO, SLOWLY_S, Lab, code_of, lab, settling, trust, zipped

__all__ = ["lab"]

COLOUR = "import os\n\ndef handler(event, context): return os.environ['COLOUR']\n"
RETURNS_TWO = zipped(app="def handler(event, context): return 2")


def arn_of(lab: Lab, name: str) -> str:
    return str(lab.client.get_function_configuration(FunctionName=name)["FunctionArn"])


# Code and configuration


def test_new_code_has_a_new_hash_and_the_architecture_that_was_said(lab: Lab) -> None:
    name = lab.make(Architectures=["x86_64"])
    before = lab.client.get_function_configuration(FunctionName=name)
    changed = lab.client.update_function_code(FunctionName=name, ZipFile=RETURNS_TWO, Architectures=["arm64"])
    assert changed["LastUpdateStatus"] == "InProgress"
    assert changed["CodeSha256"] == base64.b64encode(hashlib.sha256(RETURNS_TWO).digest()).decode()
    assert changed["Architectures"] == ["arm64"]
    assert changed["LastModified"] > before["LastModified"]
    assert changed["RevisionId"] != before["RevisionId"]
    lab.client.get_waiter("function_updated_v2").wait(FunctionName=name)
    again = lab.client.update_function_code(FunctionName=name, ZipFile=zipped(app=ECHO))
    assert again["Architectures"] == ["arm64"]


def test_until_an_update_has_ended_the_old_function_runs(lab: Lab) -> None:
    name = lab.make(COLOUR, Environment={"Variables": {"COLOUR": "red"}})
    with settling(SLOWLY_S):
        lab.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}})
        assert lab.call(name) == "red"
    lab.client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert lab.call(name) == "blue"


def test_a_function_that_is_being_made_takes_no_code(lab: Lab) -> None:
    with settling(SLOWLY_S):
        name = lab.client.create_function(**lab.settings())["FunctionName"]
        code = {"FunctionName": name, "ZipFile": RETURNS_TWO}
        assert code_of(lambda: lab.client.update_function_code(**code)) == "ResourceConflictException"


def test_a_dry_run_changes_nothing(lab: Lab) -> None:
    name = lab.make()
    before = lab.client.get_function_configuration(FunctionName=name)["CodeSha256"]
    lab.client.update_function_code(FunctionName=name, ZipFile=RETURNS_TWO, DryRun=True)
    after = lab.client.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["LastUpdateStatus"]) == (before, "Successful")


def test_every_setting_can_be_changed(lab: Lab) -> None:
    name = lab.make(DurableConfig={"ExecutionTimeout": 60})
    settings: dict[str, Any] = {
        "Description": "other",
        "Environment": {"Variables": {"COLOUR": "blue"}},
        "EphemeralStorage": {"Size": 1024},
        "Handler": "other.handler",
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/some",
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "WARN",
            "SystemLogLevel": "WARN",
            "LogGroup": "/other",
        },
        "MemorySize": 512,
        "Runtime": "python3.14",
        "Timeout": 900,
        "TracingConfig": {"Mode": "Active"},
        "DurableConfig": {"ExecutionTimeout": 90, "RetentionPeriodInDays": 5},
    }
    lab.client.update_function_configuration(FunctionName=name, Layers=[lab.layer], **settings)
    kept = lab.client.get_function_configuration(FunctionName=name)
    assert {field: kept[field] for field in settings} == settings
    assert [layer["Arn"] for layer in kept["Layers"]] == [lab.layer]
    lab.settle(name)
    lab.client.update_function_configuration(FunctionName=name, Layers=[], Environment={})
    emptied = lab.client.get_function_configuration(FunctionName=name)
    assert (emptied.get("Layers", []), "Environment" in emptied) == ([], False)
    assert emptied["MemorySize"] == 512


CHANGES_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("a layer that does not exist", {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:none:1"]}),
    ("a layer without its version", {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:sdk"]}),
    ("a runtime that cannot be durable", {"Runtime": "python3.12"}),
    ("a setting that is not kept here", {"DeadLetterConfig": {}}),
    ("subnets without security groups", {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}}),
    ("what is no subnet", {"VpcConfig": {"SubnetIds": ["vpc-1"], "SecurityGroupIds": ["sg-1"]}}),
    ("too many groups", {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": [f"sg-{n}" for n in range(6)]}}),
    ("too long a timeout", {"Timeout": 901}),
]


@pytest.fixture(scope="module")
def durable(lab: Lab) -> str:
    return lab.make(DurableConfig={"ExecutionTimeout": 60}, Description="as made")


@pytest.mark.parametrize("change", [change for _, change in CHANGES_REFUSED], ids=[what for what, _ in CHANGES_REFUSED])
def test_a_change_that_lambda_would_refuse_changes_nothing(lab: Lab, durable: str, change: dict[str, Any]) -> None:
    changes = {"FunctionName": durable, "Description": "changed"} | change
    assert code_of(lambda: lab.client.update_function_configuration(**changes)) == "InvalidParameterValueException"
    kept = lab.client.get_function_configuration(FunctionName=durable)
    assert (kept["Description"], kept["LastUpdateStatus"]) == ("as made", "Successful")


# The network

NETWORK = {"SubnetIds": ["subnet-2", "subnet-1"], "SecurityGroupIds": ["sg-1"]}
OUTSIDE: dict[str, Any] = {"SubnetIds": [], "SecurityGroupIds": []}


def test_a_function_is_put_into_a_network_and_taken_out_again(lab: Lab) -> None:
    name = lab.make()
    assert "VpcConfig" not in lab.client.get_function_configuration(FunctionName=name)
    for config, found in ((NETWORK, NETWORK), (OUTSIDE, OUTSIDE)):
        lab.client.update_function_configuration(FunctionName=name, VpcConfig=config)
        lab.settle(name)
        kept = lab.client.get_function_configuration(FunctionName=name)["VpcConfig"]
        assert {field: kept[field] for field in found} == found
    lab.client.update_function_configuration(FunctionName=name, VpcConfig=NETWORK)
    lab.settle(name)
    # "You can send an UpdateFunctionConfiguration request without the VPC configuration."
    lab.client.update_function_configuration(FunctionName=name, MemorySize=256)
    assert lab.client.get_function_configuration(FunctionName=name)["VpcConfig"]["SubnetIds"] == NETWORK["SubnetIds"]


def test_a_role_that_may_make_no_network_interface_puts_no_function_into_a_network(lab: Lab) -> None:
    role = lab.cloud.client("iam").create_role(
        RoleName="outside", AssumeRolePolicyDocument=trust("lambda.amazonaws.com")
    )["Role"]["Arn"]
    settings = lab.settings(Role=role)
    refused = code_of(lambda: lab.client.create_function(**settings, VpcConfig=NETWORK))
    assert refused == "InvalidParameterValueException"
    name = lab.make(VpcConfig=NETWORK)
    refused = code_of(lambda: lab.client.update_function_configuration(FunctionName=name, Role=role))
    assert refused == "InvalidParameterValueException"
    lab.client.update_function_configuration(FunctionName=name, Role=role, VpcConfig=OUTSIDE)


# Versions


def test_what_was_changed_there_and_back_is_no_new_version(lab: Lab) -> None:
    name = lab.make(Description="first")
    assert lab.publish(name) == "1"
    for description in ("second", "first"):
        lab.client.update_function_configuration(FunctionName=name, Description=description)
        lab.settle(name)
    assert lab.publish(name) == "1"
    lab.client.update_function_configuration(FunctionName=name, LoggingConfig={"LogGroup": "/elsewhere"})
    lab.settle(name)
    assert lab.publish(name) == "2"


def test_after_the_newest_version_was_deleted_the_same_is_published_anew(lab: Lab) -> None:
    name = lab.make()
    lab.publish(name)
    lab.client.delete_function(FunctionName=name, Qualifier="1")
    assert lab.publish(name) == "2"


def test_code_can_be_published_with_its_update_once(lab: Lab) -> None:
    name = lab.make(Publish=True)
    assert lab.client.update_function_code(FunctionName=name, ZipFile=RETURNS_TWO, Publish=True)["Version"] == "2"
    listed = lab.client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [one["Version"] for one in listed] == ["$LATEST", "1", "2"]


def test_what_is_not_published_cannot_be_deleted_by_itself(lab: Lab) -> None:
    name = lab.make()
    latest = {"FunctionName": name, "Qualifier": "$LATEST"}
    assert code_of(lambda: lab.client.delete_function(**latest)) == "InvalidParameterValueException"
    missing = {"FunctionName": name, "Qualifier": "7"}
    assert code_of(lambda: lab.client.delete_function(**missing)) == "ResourceNotFoundException"


def test_an_alias_that_does_not_exist_is_not_found(lab: Lab) -> None:
    alias = {"FunctionName": lab.make(), "Name": "live"}
    assert code_of(lambda: lab.client.get_alias(**alias)) == "ResourceNotFoundException"
    assert code_of(lambda: lab.client.update_alias(**alias)) == "ResourceNotFoundException"
    missing = {"FunctionName": "nobody", "Name": "live"}
    assert code_of(lambda: lab.client.get_alias(**missing)) == "ResourceNotFoundException"


def test_aliases_are_listed_by_the_version_that_they_point_to(lab: Lab) -> None:
    name = lab.make(Publish=True)
    for alias, version in (("live", "1"), ("next", "$LATEST")):
        lab.client.create_alias(FunctionName=name, Name=alias, FunctionVersion=version)
    listed = lab.client.list_aliases(FunctionName=name)["Aliases"]
    assert [one["Name"] for one in listed] == ["live", "next"]
    (live,) = lab.client.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]
    assert live["AliasArn"] == f"{arn_of(lab, name)}:live"


# Listings


def test_every_version_of_every_function_is_listed_without_its_state(lab: Lab) -> None:
    name = lab.make(Publish=True, DurableConfig={"ExecutionTimeout": 60}, Description="mine")
    pages = lab.client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
    listed = [one for page in pages for one in page["Functions"] if one["FunctionName"] == name]
    arn = arn_of(lab, name)
    assert [one["Version"] for one in listed] == ["$LATEST", "1"]
    assert [one["FunctionArn"] for one in listed] == [f"{arn}:$LATEST", f"{arn}:1"]
    for one in listed:
        assert not {"State", "LastUpdateStatus"} & set(one)
        assert (one["Description"], one["DurableConfig"]["ExecutionTimeout"]) == ("mine", 60)
        assert one["CodeSha256"]
        assert one["RevisionId"]
    unpublished = [one for page in lab.client.get_paginator("list_functions").paginate() for one in page["Functions"]]
    assert [one["FunctionArn"] for one in unpublished if one["FunctionName"] == name] == [arn]


def test_a_page_has_fifty_functions_at_most_and_its_marker_leads_on(lab: Lab) -> None:
    for _ in range(51):
        lab.client.create_function(**lab.settings())
    first = lab.client.list_functions(MaxItems=1000)
    assert len(first["Functions"]) == 50
    second = lab.client.list_functions(Marker=first["NextMarker"], MaxItems=1)
    assert len(second["Functions"]) == 1
    names = [one["FunctionName"] for one in first["Functions"] + second["Functions"]]
    assert len(set(names)) == 51
    assert code_of(lambda: lab.client.list_functions(Marker="50")) == "InvalidParameterValueException"


def test_versions_are_listed_in_pages(lab: Lab) -> None:
    name = lab.make(Publish=True)
    first = lab.client.list_versions_by_function(FunctionName=name, MaxItems=1)
    assert [one["Version"] for one in first["Versions"]] == ["$LATEST"]
    rest = lab.client.list_versions_by_function(FunctionName=name, Marker=first["NextMarker"])
    assert [one["Version"] for one in rest["Versions"]] == ["1"]
    assert "NextMarker" not in rest
    missing = {"FunctionName": "nobody"}
    assert code_of(lambda: lab.client.list_versions_by_function(**missing)) == "ResourceNotFoundException"


# Tags


def test_tags_belong_to_whole_functions(lab: Lab) -> None:
    name = lab.make(Publish=True, Tags={"team": "storage"})
    arn = arn_of(lab, name)
    lab.client.tag_resource(Resource=arn, Tags={"team": "archive", "rule": "nightly"})
    lab.client.untag_resource(Resource=arn, TagKeys=["rule"])
    assert lab.client.list_tags(Resource=arn)["Tags"] == {"team": "archive"}
    for resource in (f"{arn}:1", "arn:aws:lambda:us-east-1:000000000000:layer:sdk"):
        assert code_of(lambda one=resource: lab.client.list_tags(Resource=one)) == "InvalidParameterValueException"
    nobody = arn.replace(name, "nobody")
    assert code_of(lambda: lab.client.tag_resource(Resource=nobody, Tags={"a": "b"})) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    "tags",
    [{"aws:mine": "x"}, {"k" * 129: "x"}, {"k": "v" * 257}, {"k!": "v"}, {str(n): "" for n in range(51)}],
    ids=["reserved", "long key", "long value", "wrong character", "too many"],
)
def test_tags_that_cannot_be_are_refused(lab: Lab, durable: str, tags: dict[str, str]) -> None:
    arn = arn_of(lab, durable)
    assert code_of(lambda: lab.client.tag_resource(Resource=arn, Tags=tags)) == "InvalidParameterValueException"
    assert code_of(lambda: lab.client.create_function(**lab.settings(Tags=tags))) == "InvalidParameterValueException"
    assert lab.client.list_tags(Resource=arn)["Tags"] == {}
