"""The local cloud keeps and refuses what Lambda does when functions are made, changed and removed."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.contract.lambda_lab import ECHO, SLOWLY_S, Lab, code_of, lab, settling, trust, zipped
from tests.local_cloud.front import AddressInUseError, HttpServer
from tests.local_cloud.server import LocalCloud

__all__ = ["lab"]


def test_the_cloud_says_that_it_is_well_and_uses_the_all_zero_account(lab: Lab) -> None:
    health = urllib3.request("GET", f"{lab.cloud.endpoint_url}/_local/health")
    assert health.json()["status"] == "ok"
    assert lab.cloud.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert ":000000000000:" in lab.layer


def test_a_taken_port_is_a_clear_error(lab: Lab) -> None:
    with pytest.raises(AddressInUseError, match=f"127.0.0.1:{lab.cloud.port} failed: Address already in use"):
        HttpServer(lab.cloud.port)


def test_a_second_cloud_in_one_process_is_refused(lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="one set of data"):
        LocalCloud()
    assert "Functions" in lab.client.list_functions()


def test_an_operation_that_moto_lacks_is_named(lab: Lab) -> None:
    with pytest.raises(ClientError, match="has not been implemented"):
        lab.cloud.client("events").list_endpoints()


def test_a_new_function_is_pending_and_can_neither_run_nor_change_until_it_is_active(lab: Lab) -> None:
    with settling(SLOWLY_S):
        made = lab.client.create_function(**lab.settings())
        name = made["FunctionName"]
        assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
        assert code_of(lambda: lab.client.invoke(FunctionName=name)) == "ResourceConflictException"
        assert code_of(lambda: lab.client.publish_version(FunctionName=name)) == "ResourceConflictException"
        change = {"FunctionName": name, "Timeout": 20}
        assert code_of(lambda: lab.client.update_function_configuration(**change)) == "ResourceConflictException"
    lab.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    assert lab.call(name, 1)["event"] == 1
    assert code_of(lambda: lab.client.create_function(**lab.settings(FunctionName=name))) == "ResourceConflictException"


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("a name of 65 characters", {"FunctionName": "x" * 65}),
    ("a name with a dot", {"FunctionName": "my.function"}),
    ("an unknown runtime", {"Runtime": "python4.0"}),
    ("a runtime that is not Python", {"Runtime": "nodejs22.x"}),
    ("a handler with a space", {"Handler": "app handler"}),
    ("a timeout over 15 minutes", {"Timeout": 901}),
    ("too much memory", {"MemorySize": 10_241}),
    ("a reserved variable", {"Environment": {"Variables": {"AWS_REGION": "eu-west-1"}}}),
    ("a variable that begins with a digit", {"Environment": {"Variables": {"1ST": "x"}}}),
    ("an environment over 4 KB", {"Environment": {"Variables": {"LARGE": "x" * 4096}}}),
    ("a role that is not one", {"Role": "arn:aws:iam::000000000000:user/me"}),
    ("a role that does not exist", {"Role": "arn:aws:iam::000000000000:role/nobody"}),
    ("code that is no zip archive", {"Code": {"ZipFile": b"not a zip"}}),
    ("code that is not in the bucket", {"Code": {"S3Bucket": "no-such-bucket", "S3Key": "code.zip"}}),
    ("an unknown log format", {"LoggingConfig": {"LogFormat": "XML"}}),
    ("log levels for plain text", {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}}),
    ("a durable function without a timeout", {"DurableConfig": {"RetentionPeriodInDays": 14}}),
    ("a durable timeout over a year", {"DurableConfig": {"ExecutionTimeout": 31_622_401}}),
    ("a retention over 90 days", {"DurableConfig": {"ExecutionTimeout": 60, "RetentionPeriodInDays": 91}}),
    (
        "a durable runtime that cannot be",
        {"Runtime": "python3.12", "DurableConfig": {"ExecutionTimeout": 60}},
    ),
]


@pytest.mark.parametrize("change", [change for _, change in REFUSED], ids=[what for what, _ in REFUSED])
def test_a_function_that_lambda_would_refuse_is_refused(lab: Lab, change: dict[str, Any]) -> None:
    settings = lab.settings() | change
    assert code_of(lambda: lab.client.create_function(**settings)) == "InvalidParameterValueException"
    assert code_of(lambda: lab.client.get_function(FunctionName=settings["FunctionName"])) in (
        "ResourceNotFoundException",
        "InvalidParameterValueException",
    )


def test_a_role_that_does_not_trust_lambda_is_refused(lab: Lab) -> None:
    assert trust("lambda.amazonaws.com") != trust("scheduler.amazonaws.com")
    settings = lab.settings(Role=lab.scheduler_role)
    assert code_of(lambda: lab.client.create_function(**settings)) == "InvalidParameterValueException"


def test_durable_and_logging_settings_are_kept_and_copied_into_versions(lab: Lab) -> None:
    logging = {"LogFormat": "JSON", "LogGroup": "/elsewhere"}
    name = lab.make(DurableConfig={"ExecutionTimeout": 60}, LoggingConfig=logging)
    version = lab.publish(name)
    change = {"ExecutionTimeout": 90, "RetentionPeriodInDays": 3}
    changed = lab.client.update_function_configuration(FunctionName=name, DurableConfig=change)
    assert changed["DurableConfig"] == change
    old = lab.client.get_function_configuration(FunctionName=name, Qualifier=version)
    assert old["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 14}
    assert old["LoggingConfig"] == logging | {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    assert lab.client.get_function(FunctionName=name)["Configuration"]["DurableConfig"] == change


def test_a_function_cannot_become_durable_later(lab: Lab) -> None:
    name = lab.make()
    change = {"FunctionName": name, "DurableConfig": {"ExecutionTimeout": 60}}
    assert code_of(lambda: lab.client.update_function_configuration(**change)) == "InvalidParameterValueException"
    assert "DurableConfig" not in lab.client.get_function_configuration(FunctionName=name)


def test_an_update_is_in_progress_for_a_moment_and_refuses_the_next(lab: Lab) -> None:
    name = lab.make(Environment={"Variables": {"COLOUR": "red"}})
    with settling(SLOWLY_S):
        changed = lab.client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}}, EphemeralStorage={"Size": 1024}
        )
        assert changed["LastUpdateStatus"] == "InProgress"
        assert code_of(lambda: lab.client.publish_version(FunctionName=name)) == "ResourceConflictException"
        code = {"FunctionName": name, "ZipFile": zipped(app=ECHO)}
        assert code_of(lambda: lab.client.update_function_code(**code)) == "ResourceConflictException"
        assert lab.call(name, 1)["event"] == 1
    lab.settle(name)
    config = lab.client.get_function_configuration(FunctionName=name)
    assert config["Environment"]["Variables"] == {"COLOUR": "blue"}
    assert config["EphemeralStorage"] == {"Size": 1024}


def test_a_change_based_on_an_old_revision_is_refused(lab: Lab) -> None:
    name = lab.make()
    revision = lab.client.get_function_configuration(FunctionName=name)["RevisionId"]
    lab.client.update_function_configuration(FunctionName=name, Timeout=20, RevisionId=revision)
    lab.settle(name)
    stale = {"FunctionName": name, "RevisionId": revision}
    assert code_of(lambda: lab.client.update_function_configuration(**stale)) == "PreconditionFailedException"
    assert code_of(lambda: lab.client.publish_version(**stale)) == "PreconditionFailedException"


def test_a_version_is_made_only_for_a_change_and_its_number_is_never_used_again(lab: Lab) -> None:
    name = lab.make()
    made = lab.client.publish_version(FunctionName=name)
    assert (made["Version"], made["State"]) == ("1", "Pending")
    assert made["FunctionArn"].endswith(f":function:{name}:1")
    assert lab.publish(name) == "1"
    lab.client.update_function_configuration(FunctionName=name, Description="changed")
    lab.settle(name)
    assert lab.publish(name) == "2"
    lab.client.delete_function(FunctionName=name, Qualifier="2")
    lab.client.update_function_code(FunctionName=name, ZipFile=zipped(app="def handler(event, context): return 3"))
    lab.settle(name)
    assert lab.publish(name) == "3"
    versions = [one["Version"] for one in lab.client.list_versions_by_function(FunctionName=name)["Versions"]]
    assert versions == ["$LATEST", "1", "3"]
    assert lab.call(f"{name}:3") == 3
    assert lab.call(f"{name}:1", 1)["event"] == 1
    lab.client.delete_function(FunctionName=name)
    lab.make(FunctionName=name)
    assert lab.publish(name) == "4"


def test_a_publication_of_other_code_than_expected_is_refused(lab: Lab) -> None:
    name = lab.make()
    wanted = {"FunctionName": name, "CodeSha256": base64.b64encode(b"x" * 32).decode()}
    assert code_of(lambda: lab.client.publish_version(**wanted)) == "InvalidParameterValueException"


def test_an_alias_points_to_existing_versions_only_and_holds_them(lab: Lab) -> None:
    name = lab.make()
    alias = {"FunctionName": name, "Name": "live"}
    missing = alias | {"FunctionVersion": "7"}
    assert code_of(lambda: lab.client.create_alias(**missing)) == "ResourceNotFoundException"
    lab.publish(name)
    lab.client.create_alias(**alias, FunctionVersion="1")
    again = alias | {"FunctionVersion": "1"}
    assert code_of(lambda: lab.client.create_alias(**again)) == "ResourceConflictException"
    assert code_of(lambda: lab.client.update_alias(**missing)) == "ResourceNotFoundException"
    version = {"FunctionName": name, "Qualifier": "1"}
    assert code_of(lambda: lab.client.delete_function(**version)) == "ResourceConflictException"
    assert lab.client.get_alias(**alias)["FunctionVersion"] == "1"
    before = lab.client.get_alias(**alias)["RevisionId"]
    assert lab.client.update_alias(**alias, FunctionVersion="$LATEST", RevisionId=before)["RevisionId"] != before
    stale = alias | {"RevisionId": before}
    assert code_of(lambda: lab.client.update_alias(**stale)) == "PreconditionFailedException"


def test_what_does_not_exist_is_not_found(lab: Lab) -> None:
    name = lab.make()
    for function in ("nobody", f"{name}:nothing", f"{name}:9"):
        assert code_of(partial(lab.client.invoke, FunctionName=function)) == "ResourceNotFoundException"
        assert code_of(partial(lab.client.get_function, FunctionName=function)) == "ResourceNotFoundException"
    elsewhere = f"arn:aws:lambda:eu-west-1:000000000000:function:{name}"
    assert code_of(lambda: lab.client.invoke(FunctionName=elsewhere)) == "ResourceNotFoundException"
    lab.client.delete_function(FunctionName=name)
    assert code_of(lambda: lab.client.invoke(FunctionName=name)) == "ResourceNotFoundException"
    assert lab.cloud.functions.processes(name) == []


def test_the_code_location_gives_exactly_the_bytes_that_were_given(lab: Lab) -> None:
    archive = zipped(app=ECHO, other="x = 1")
    s3 = lab.cloud.client("s3")
    s3.create_bucket(Bucket="code-of-functions")
    s3.put_object(Bucket="code-of-functions", Key="some/code.zip", Body=archive)
    for code in ({"ZipFile": archive}, {"S3Bucket": "code-of-functions", "S3Key": "some/code.zip"}):
        name = lab.make(Code=code)
        location = lab.client.get_function(FunctionName=name)["Code"]["Location"]
        assert location.startswith(f"{lab.cloud.endpoint_url}/_local/code/")
        assert urllib3.request("GET", location).data == archive
        assert lab.call(name, "x")["event"] == "x"


def test_a_layers_content_can_be_downloaded(lab: Lab) -> None:
    archive = zipped(one="x = 1")
    made = lab.client.publish_layer_version(LayerName="small", Content={"ZipFile": archive})
    found = lab.client.get_layer_version(LayerName="small", VersionNumber=made["Version"])
    assert urllib3.request("GET", found["Content"]["Location"]).data == archive


def test_tags_are_kept_and_listings_are_paged(lab: Lab) -> None:
    name = lab.make(Tags={"team": "storage"})
    arn = lab.client.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    lab.client.tag_resource(Resource=arn, Tags={"rule": "nightly"})
    assert lab.client.list_tags(Resource=arn)["Tags"] == {"team": "storage", "rule": "nightly"}
    lab.make()
    pages = list(lab.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1}))
    assert len(pages) > 1
    assert all(one["LoggingConfig"] for page in pages for one in page["Functions"])
