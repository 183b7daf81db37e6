"""What requests to DynamoDB and S3 need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tests.local_cloud.permissions.calls import UnknownCallError
from tests.local_cloud.permissions.needs import Need, Parameters, Place, Table

# ------------------------------------------------------------------------------------------------------ DynamoDB
# Sources: the reference for Amazon DynamoDB; "Using IAM policy conditions for fine-grained access control", by which
# dynamodb:LeadingKeys holds every partition key that a request names, and nothing in a Scan; "Using IAM with DynamoDB
# transactions", by which a transaction needs what its parts need.

Item = Mapping[str, Any]
_PARTITION_KEY = "pk"  # of the stack's one table
_EQUALS = re.compile(r"(#?\w+)\s*=\s*(:\w+)")
_TRANSACTED = {
    "Put": ("PutItem", "Item"),
    "Update": ("UpdateItem", "Key"),
    "Delete": ("DeleteItem", "Key"),
    "ConditionCheck": ("ConditionCheckItem", "Key"),
    "Get": ("GetItem", "Key"),
}


def _on_table(action: str, place: Place, name: str, items: Iterable[Item], **more: tuple[str, ...]) -> Need:
    leading_keys = tuple(dict.fromkeys(_value(item[_PARTITION_KEY]) for item in items))
    context = {"dynamodb:leadingkeys": leading_keys} if leading_keys else {}
    arn = name if name.startswith("arn:") else place.arn("dynamodb", f"table/{name}")
    return Need(f"dynamodb:{action}", arn, {**context, **{f"dynamodb:{key}": value for key, value in more.items()}})


def _value(typed: Mapping[str, Any]) -> str:
    (value,) = typed.values()
    return str(value)


def _on_item(action: str, member: str) -> Callable[[Parameters, Place], list[Need]]:
    return lambda asked, place: [_on_table(action, place, asked["TableName"], [asked[member]])]


def _query(asked: Parameters, place: Place) -> list[Need]:
    names = asked.get("ExpressionAttributeNames", {})
    for name, value in _EQUALS.findall(asked.get("KeyConditionExpression", "")):
        if names.get(name, name) == _PARTITION_KEY:
            key = {_PARTITION_KEY: asked["ExpressionAttributeValues"][value]}
            need = _on_table("Query", place, asked["TableName"], [key])
            index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
            return [Need(need.action, need.resource + index, need.context)]
    raise UnknownCallError(f"Query without a KeyConditionExpression for {_PARTITION_KEY}")


def _batch_write(asked: Parameters, place: Place) -> Iterator[Need]:
    for table, requests in asked["RequestItems"].items():
        items = [part.get("Item") or part["Key"] for request in requests for part in request.values()]
        yield _on_table("BatchWriteItem", place, table, items)


def _batch_get(asked: Parameters, place: Place) -> Iterator[Need]:
    for table, request in asked["RequestItems"].items():
        yield _on_table("BatchGetItem", place, table, request["Keys"])


def _transact(operation: str) -> Callable[[Parameters, Place], Iterator[Need]]:
    def needs(asked: Parameters, place: Place) -> Iterator[Need]:
        for part in asked["TransactItems"]:
            ((kind, body),) = part.items()
            action, member = _TRANSACTED[kind]
            yield _on_table(action, place, body["TableName"], [body[member]], enclosingoperation=(operation,))

    return needs


def _whole_table(action: str) -> Callable[[Parameters, Place], list[Need]]:
    return lambda asked, place: [_on_table(action, place, asked["TableName"], [])]


DYNAMODB: Table = {
    "BatchGetItem": _batch_get,
    "BatchWriteItem": _batch_write,
    "DeleteItem": _on_item("DeleteItem", "Key"),
    "DescribeTable": _whole_table("DescribeTable"),
    "GetItem": _on_item("GetItem", "Key"),
    "PutItem": _on_item("PutItem", "Item"),
    "Query": _query,
    "Scan": _whole_table("Scan"),
    "TransactGetItems": _transact("TransactGetItems"),
    "TransactWriteItems": _transact("TransactWriteItems"),
    "UpdateItem": _on_item("UpdateItem", "Key"),
}

# ------------------------------------------------------------------------------------------------------------ S3
# Sources: "Required permissions for Amazon S3 API operations"; "Enforce conditional deletes on Amazon S3 buckets" and
# "Add preconditions to S3 operations with conditional requests": If-Match on a write or a delete also needs
# s3:GetObject; "AWS KMS permissions for Amazon S3" and "Multipart upload API and permissions": whoever names a key must
# be allowed to have data keys made by it and, for an upload in parts, to have them decrypted.

_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
_WITH_HEADER = (
    ("x-amz-acl", "PutObjectAcl"),
    ("x-amz-grant-", "PutObjectAcl"),
    ("x-amz-tagging", "PutObjectTagging"),
    ("x-amz-object-lock-legal-hold", "PutObjectLegalHold"),
    ("x-amz-object-lock-", "PutObjectRetention"),
    ("x-amz-bypass-governance-retention", "BypassGovernanceRetention"),
)


def _on_object(
    action: str, *, reads: bool = False, in_parts: bool = False
) -> Callable[[Parameters, Place], Iterator[Need]]:
    def needs(asked: Parameters, _: Place) -> Iterator[Need]:
        arn = f"arn:aws:s3:::{asked['Bucket']}/{asked['Key']}"
        yield Need(f"s3:{action}{'Version' if asked['VersionId'] else ''}", arn)
        if not reads and "if-match" in asked:
            yield Need("s3:GetObject", arn)
        for header in asked:
            if header.startswith("x-amz-") and header != _KEY:
                yield Need(f"s3:{_action_of(header)}", arn)
        if _KEY in asked:
            yield Need("kms:GenerateDataKey", asked[_KEY])
            if in_parts:
                yield Need("kms:Decrypt", asked[_KEY])

    return needs


def _action_of(header: str) -> str:
    for beginning, action in _WITH_HEADER:
        if header.startswith(beginning):
            return action
    raise UnknownCallError(f"an S3 request with {header}")


def _on_bucket(action: str) -> Callable[[Parameters, Place], list[Need]]:
    def needs(asked: Parameters, _: Place) -> list[Need]:
        context = {"s3:prefix": (asked["Prefix"],)} if asked["Prefix"] else {}
        return [Need(f"s3:{action}", f"arn:aws:s3:::{asked['Bucket']}", context)]

    return needs


S3: Table = {
    "AbortMultipartUpload": _on_object("AbortMultipartUpload"),
    "CompleteMultipartUpload": _on_object("PutObject"),
    "CreateMultipartUpload": _on_object("PutObject", in_parts=True),
    "DeleteObject": _on_object("DeleteObject"),
    "GetBucketAcl": _on_bucket("GetBucketAcl"),
    "GetBucketLocation": _on_bucket("GetBucketLocation"),
    "GetBucketObjectLock": _on_bucket("GetBucketObjectLockConfiguration"),
    "GetBucketVersioning": _on_bucket("GetBucketVersioning"),
    "GetObject": _on_object("GetObject", reads=True),
    "GetObjectLegalHold": _on_object("GetObjectLegalHold", reads=True),
    "GetObjectRetention": _on_object("GetObjectRetention", reads=True),
    "GetObjectTagging": _on_object("GetObjectTagging", reads=True),
    "HeadBucket": _on_bucket("ListBucket"),
    "HeadObject": _on_object("GetObject", reads=True),
    "ListBuckets": lambda _, __: [Need("s3:ListAllMyBuckets", "*")],
    "ListMultipartUploads": _on_bucket("ListBucketMultipartUploads"),
    "ListObjectVersions": _on_bucket("ListBucketVersions"),
    "ListObjects": _on_bucket("ListBucket"),
    "ListObjectsV2": _on_bucket("ListBucket"),
    "ListParts": _on_object("ListMultipartUploadParts"),
    "PutObject": _on_object("PutObject"),
    "PutObjectRetention": _on_object("PutObjectRetention"),
    "UploadPart": _on_object("PutObject"),
}
