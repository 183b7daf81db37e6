"""Makes each kind of resource that template.yaml uses, by the calls that CloudFormation would make."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local_cloud.code_packages import zip_folder, zip_layer
from tests.local_cloud.template_reader import Resource, TemplateError

Client = Callable[[str], Any]
_FUNCTION_ACTIVE_WITHIN_S = 30.0


@dataclass(frozen=True)
class Place:
    """Where a stack is deployed to, and from."""

    client: Client
    stack: str
    account: str
    region: str
    root: Path


@dataclass(frozen=True)
class Made:
    """A resource that exists: what Ref answers, and what GetAtt answers by name."""

    ref: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def make(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    """Make the resource from its resolved properties; or raise TemplateError for what is unknown here."""
    if resource.type not in _MAKERS:
        raise TemplateError(f"{resource.logical_id} is a {resource.type}, which is not known here. Add a maker for it.")
    maker, known = _MAKERS[resource.type]
    others = sorted(set(properties) - known)
    if others:
        raise TemplateError(
            f"{resource.logical_id} has {', '.join(others)}, which {resource.type}'s maker does not know."
        )
    return maker(place, resource, properties)


def _layer(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    if not str(resource.metadata.get("BuildMethod", "")).startswith("python"):
        raise TemplateError(f"{resource.logical_id} has no BuildMethod of Python: it would be uploaded unbuilt.")
    answer = place.client("lambda").publish_layer_version(
        LayerName=properties["LayerName"],
        Description=properties.get("Description", ""),
        Content={"ZipFile": zip_layer(place.root / properties["ContentUri"])},
        CompatibleRuntimes=properties.get("CompatibleRuntimes", []),
        CompatibleArchitectures=properties.get("CompatibleArchitectures", []),
    )
    return Made(answer["LayerVersionArn"])


def _function(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    request = {
        "FunctionName": properties["FunctionName"],
        "Runtime": properties["Runtime"],
        "Role": properties["Role"],
        "Handler": properties["Handler"],
        "Code": {"ZipFile": zip_folder(place.root / properties["CodeUri"])},
        "Description": properties.get("Description", ""),
        "Timeout": int(properties.get("Timeout", 3)),
        "MemorySize": int(properties.get("MemorySize", 128)),
        "Architectures": properties.get("Architectures", ["x86_64"]),
        "Layers": properties.get("Layers", []),
        "Environment": {"Variables": _as_text(properties.get("Environment", {}).get("Variables", {}))},
    }
    for optional in ("DurableConfig", "LoggingConfig"):
        if optional in properties:
            request[optional] = properties[optional]
    client = place.client("lambda")
    answer = client.create_function(**request)
    _wait_until_active(client, properties["FunctionName"])
    return Made(properties["FunctionName"], {"Arn": answer["FunctionArn"]})


def _as_text(variables: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in variables.items()}


def _wait_until_active(client: Any, function_name: str) -> None:
    deadline = time.monotonic() + _FUNCTION_ACTIVE_WITHIN_S
    while True:
        configuration = client.get_function_configuration(FunctionName=function_name)
        state = configuration.get("State", "Active")
        if state == "Active":
            return
        if state == "Failed" or time.monotonic() > deadline:
            reason = configuration.get("StateReason", "no reason given")
            raise RuntimeError(f"Function {function_name} was made but is {state}, not Active: {reason}.")
        time.sleep(0.05)


def _table(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    client = place.client("dynamodb")
    name = f"{place.stack}-{resource.logical_id}"
    answer = client.create_table(
        TableName=name,
        **{key: properties[key] for key in ("BillingMode", "AttributeDefinitions", "KeySchema")},
    )
    if "PointInTimeRecoverySpecification" in properties:
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
        )
    return Made(name, {"Arn": answer["TableDescription"]["TableArn"]})


def _bucket(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    client = place.client("s3")
    name = f"{place.stack}-{resource.logical_id.lower()}-{place.account}"
    location = {} if place.region == "us-east-1" else {"LocationConstraint": place.region}
    client.create_bucket(Bucket=name, **({"CreateBucketConfiguration": location} if location else {}))
    if "OwnershipControls" in properties:
        client.put_bucket_ownership_controls(Bucket=name, OwnershipControls=properties["OwnershipControls"])
    if "VersioningConfiguration" in properties:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=properties["VersioningConfiguration"])
    if "PublicAccessBlockConfiguration" in properties:
        client.put_public_access_block(
            Bucket=name, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
        )
    if "BucketEncryption" in properties:
        client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=_encryption(properties))
    if "LifecycleConfiguration" in properties:
        rules = [_lifecycle_rule(name, rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    return Made(name, {"Arn": f"arn:aws:s3:::{name}"})


def _encryption(properties: Mapping[str, Any]) -> dict[str, Any]:
    rules = [
        {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        for rule in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle_rule(bucket: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's form of a rule as the S3 API has it."""
    same = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    others = sorted(set(rule) - {*same, "Id", "ExpirationInDays"})
    if others:
        raise TemplateError(f"A lifecycle rule of {bucket} has {', '.join(others)}, which is not known here.")
    converted: dict[str, Any] = {"ID": rule["Id"], "Filter": {"Prefix": ""}}
    converted.update({key: rule[key] for key in same if key in rule})
    if "ExpirationInDays" in rule:
        converted["Expiration"] = {"Days": rule["ExpirationInDays"]}
    return converted


def _bucket_policy(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    policy = json.dumps(properties["PolicyDocument"])
    place.client("s3").put_bucket_policy(Bucket=properties["Bucket"], Policy=policy)
    return Made(f"{place.stack}-{resource.logical_id}")


def _schedule_group(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    answer = place.client("scheduler").create_schedule_group(Name=properties["Name"])
    return Made(properties["Name"], {"Arn": answer["ScheduleGroupArn"]})


def _role(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    client = place.client("iam")
    name = f"{place.stack}-{resource.logical_id}"
    boundary = {key: properties[key] for key in ("PermissionsBoundary",) if key in properties}
    trust = json.dumps(properties["AssumeRolePolicyDocument"])
    answer = client.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **boundary)
    for policy in properties.get("Policies", []):
        document = json.dumps(policy["PolicyDocument"])
        client.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
    return Made(name, {"Arn": answer["Role"]["Arn"]})


def _log_group(place: Place, resource: Resource, properties: Mapping[str, Any]) -> Made:
    client = place.client("logs")
    name = properties["LogGroupName"]
    client.create_log_group(logGroupName=name)
    client.put_retention_policy(logGroupName=name, retentionInDays=int(properties["RetentionInDays"]))
    return Made(name, {"Arn": f"arn:aws:logs:{place.region}:{place.account}:log-group:{name}:*"})


_Maker = Callable[[Place, Resource, Mapping[str, Any]], Made]
_MAKERS: Mapping[str, tuple[_Maker, set[str]]] = {
    "AWS::Serverless::LayerVersion": (
        _layer,
        {
            "LayerName",
            "Description",
            "ContentUri",
            "CompatibleRuntimes",
            "CompatibleArchitectures",
            "RetentionPolicy",
        },
    ),
    "AWS::Serverless::Function": (
        _function,
        {
            "FunctionName",
            "Description",
            "Handler",
            "Role",
            "Runtime",
            "Architectures",
            "CodeUri",
            "Timeout",
            "MemorySize",
            "Layers",
            "DurableConfig",
            "LoggingConfig",
            "Environment",
        },
    ),
    "AWS::DynamoDB::Table": (
        _table,
        {"BillingMode", "AttributeDefinitions", "KeySchema", "PointInTimeRecoverySpecification"},
    ),
    "AWS::S3::Bucket": (
        _bucket,
        {
            "OwnershipControls",
            "VersioningConfiguration",
            "PublicAccessBlockConfiguration",
            "BucketEncryption",
            "LifecycleConfiguration",
        },
    ),
    "AWS::S3::BucketPolicy": (_bucket_policy, {"Bucket", "PolicyDocument"}),
    "AWS::Scheduler::ScheduleGroup": (_schedule_group, {"Name"}),
    "AWS::IAM::Role": (_role, {"PermissionsBoundary", "AssumeRolePolicyDocument", "Policies"}),
    "AWS::Logs::LogGroup": (_log_group, {"LogGroupName", "RetentionInDays"}),
}
