"""What keeps data: buckets with their policies, tables and log groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.local_cloud.stack.parts import Kind, Made, Place, Properties, Standing, Wanted, keys
from tests.local_cloud.template_reader import TemplateError

# ---------------------------------------------------------------------------------------------- buckets


def _make_bucket(place: Place, wanted: Wanted) -> Made:
    client = place.client("s3")
    name = f"{place.name_of(wanted.logical_id).lower()}-{place.account}"
    location = {} if place.region == "us-east-1" else {"LocationConstraint": place.region}
    lock = {"ObjectLockEnabledForBucket": True} if _locks(wanted) else {}
    client.create_bucket(Bucket=name, **lock, **({"CreateBucketConfiguration": location} if location else {}))
    _configure_bucket(client, name, wanted.properties)
    return Made(name, {"Arn": f"arn:aws:s3:::{name}"})


def _locks(wanted: Wanted) -> bool:
    """Whether the bucket is made for Object Lock; a lock that every object gets is not known here."""
    asked = wanted.properties.get("ObjectLockConfiguration", {"ObjectLockEnabled": "Enabled"})
    if asked != {"ObjectLockEnabled": "Enabled"}:
        raise TemplateError(f"ObjectLockConfiguration of {wanted.logical_id} is {asked}, which is not known here.")
    return str(wanted.properties.get("ObjectLockEnabled", False)).lower() == "true"


def _configure_bucket(client: Any, name: str, properties: Properties) -> None:
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


def _encryption(properties: Properties) -> dict[str, Any]:
    rules = [
        {"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}
        for rule in properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    ]
    return {"Rules": rules}


def _lifecycle_rule(bucket: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's form of a rule as the S3 API has it."""
    same = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    others = sorted(set(rule) - {*same, "Id", "ExpirationInDays", "ExpiredObjectDeleteMarker"})
    if others:
        raise TemplateError(f"A lifecycle rule of {bucket} has {', '.join(others)}, which is not known here.")
    converted: dict[str, Any] = {"ID": rule["Id"], "Filter": {"Prefix": ""}}
    converted.update({key: rule[key] for key in same if key in rule})
    if "ExpirationInDays" in rule:
        converted["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in rule:
        converted["Expiration"] = {"ExpiredObjectDeleteMarker": rule["ExpiredObjectDeleteMarker"]}
    return converted


def _change_bucket(place: Place, standing: Standing, wanted: Wanted) -> Made:
    gone = sorted(set(standing.wanted.properties) - set(wanted.properties))
    if gone:
        raise TemplateError(f"{wanted.logical_id} loses {', '.join(gone)}, which is not known here.")
    _configure_bucket(place.client("s3"), standing.made.ref, wanted.properties)
    return standing.made


def _put_bucket_policy(place: Place, wanted: Wanted) -> Made:
    policy = json.dumps(wanted.properties["PolicyDocument"])
    place.client("s3").put_bucket_policy(Bucket=wanted.properties["Bucket"], Policy=policy)
    return Made(place.name_of(wanted.logical_id))


# ----------------------------------------------------------------------------------------------- tables


def _make_table(place: Place, wanted: Wanted) -> Made:
    client, name, properties = place.client("dynamodb"), place.name_of(wanted.logical_id), wanted.properties
    passed_on = ("BillingMode", "AttributeDefinitions", "KeySchema", "DeletionProtectionEnabled", "SSESpecification")
    answer = client.create_table(
        TableName=name, **{field: properties[field] for field in passed_on if field in properties}
    )
    _configure_table(client, name, {}, properties)
    return Made(name, {"Arn": answer["TableDescription"]["TableArn"]})


def _configure_table(client: Any, name: str, before: Properties, after: Properties) -> None:
    recovery = "PointInTimeRecoverySpecification"
    if before.get(recovery) != after.get(recovery):
        setting = after.get(recovery, {"PointInTimeRecoveryEnabled": False})
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=setting)
    old, new = before.get("TimeToLiveSpecification"), after.get("TimeToLiveSpecification")
    if old != new:
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=new or {**(old or {}), "Enabled": False})


def _change_table(place: Place, standing: Standing, wanted: Wanted) -> Made:
    _configure_table(place.client("dynamodb"), standing.made.ref, standing.wanted.properties, wanted.properties)
    return standing.made


# ------------------------------------------------------------------------------------------- log groups


def _make_log_group(place: Place, wanted: Wanted) -> Made:
    name = wanted.properties["LogGroupName"]
    tags = {tag["Key"]: tag["Value"] for tag in wanted.properties.get("Tags", ())}
    place.client("logs").create_log_group(logGroupName=name, **({"tags": tags} if tags else {}))
    _set_retention(place, name, wanted.properties)
    return Made(name, {"Arn": f"arn:aws:logs:{place.region}:{place.account}:log-group:{name}:*"})


def _set_retention(place: Place, name: str, properties: Properties) -> None:
    if "RetentionInDays" in properties:
        days = int(properties["RetentionInDays"])
        place.client("logs").put_retention_policy(logGroupName=name, retentionInDays=days)
    else:
        place.client("logs").delete_retention_policy(logGroupName=name)


def _change_log_group(place: Place, standing: Standing, wanted: Wanted) -> Made:
    _set_retention(place, standing.made.ref, wanted.properties)
    return standing.made


BUCKET = Kind(
    keys(
        "OwnershipControls VersioningConfiguration PublicAccessBlockConfiguration BucketEncryption "
        "LifecycleConfiguration ObjectLockEnabled ObjectLockConfiguration"
    ),
    _make_bucket,
    _change_bucket,
    lambda place, standing: place.client("s3").delete_bucket(Bucket=standing.made.ref),
    fixed=keys("ObjectLockEnabled"),  # can be switched on later, but not by this
)
BUCKET_POLICY = Kind(
    keys("Bucket PolicyDocument"),
    _put_bucket_policy,
    lambda place, _, wanted: _put_bucket_policy(place, wanted),
    lambda place, standing: place.client("s3").delete_bucket_policy(Bucket=standing.wanted.properties["Bucket"]),
    required=keys("Bucket PolicyDocument"),
    fixed=keys("Bucket"),
)
TABLE = Kind(
    keys(
        "BillingMode AttributeDefinitions KeySchema PointInTimeRecoverySpecification TimeToLiveSpecification "
        "DeletionProtectionEnabled SSESpecification"
    ),
    _make_table,
    _change_table,
    lambda place, standing: place.client("dynamodb").delete_table(TableName=standing.made.ref),
    required=keys("AttributeDefinitions KeySchema"),
    fixed=keys("BillingMode AttributeDefinitions KeySchema DeletionProtectionEnabled SSESpecification"),
)
LOG_GROUP = Kind(
    keys("LogGroupName RetentionInDays Tags"),
    _make_log_group,
    _change_log_group,
    lambda place, standing: place.client("logs").delete_log_group(logGroupName=standing.made.ref),
    required=keys("LogGroupName"),
    fixed=keys("LogGroupName Tags"),
)
