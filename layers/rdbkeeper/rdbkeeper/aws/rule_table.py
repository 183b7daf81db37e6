"""Rules, leases and open uploads in one DynamoDB table.

    pk          sk                what
    rules       {rule}            a rule, as its record
    registry    revision          how often a rule was added; guards the check that no two rules share a place
    rule#{rule} lease             who may write for the rule
    rule#{rule} upload#{key}#{id} a multipart upload that is open
    rule#{rule} attempt#{transfer} which leg of a transfer has begun, and how often

A conditional write whose answer was lost is repeated by the SDK and then fails its own condition; so after a failed
condition the item that is there is looked at (ReturnValuesOnConditionCheckFailure) before it is called a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, translated
from rdbkeeper.domain.errors import (
    LeaseLost,
    NameTaken,
    RuleBusy,
    TableDenied,
    TableRefused,
    TableUnavailable,
)
from rdbkeeper.domain.rule import Rule
from rdbkeeper.ports import Record, Upload

_FAMILY = Family(TableDenied, TableUnavailable, TableRefused)
_REGISTRY = {"pk": "registry", "sk": "revision"}
_to_attribute = TypeSerializer().serialize
_from_attribute = TypeDeserializer().deserialize


def _pack(item: Record) -> Record:
    return {name: _to_attribute(value) for name, value in item.items()}


def _unpack(item: Record) -> Record:
    return {name: _from_attribute(value) for name, value in item.items()}


def _rule_key(name: str) -> Record:
    return {"pk": "rules", "sk": name}


def _lease_key(rule: str) -> Record:
    return {"pk": f"rule#{rule}", "sk": "lease"}


def _upload_key(rule: str, upload: Upload) -> Record:
    return {"pk": f"rule#{rule}", "sk": f"upload#{upload.key}#{upload.upload_id}"}


def _attempt_key(rule: str, transfer: str) -> Record:
    return {"pk": f"rule#{rule}", "sk": f"attempt#{transfer}"}


class DynamoRuleTable:
    """The rule table over a DynamoDB client."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    # ----------------------------------------------------------------- rules

    def find_rule(self, name: str) -> Rule | None:
        item = self._get(_rule_key(name))
        return Rule.from_record(item["rule"]) if item else None

    def rules(self) -> list[Rule]:
        return [Rule.from_record(item["rule"]) for item in self._query("rules")]

    def registry_revision(self) -> int:
        item = self._get(_REGISTRY)
        return int(item["revision"]) if item else 0

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        add_rule = {
            "TableName": self._table,
            "Item": _pack({**_rule_key(rule.name), "rule": rule.as_record()}),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        count_up = {
            "TableName": self._table,
            "Item": _pack({**_REGISTRY, "revision": registry_revision + 1}),
            "ConditionExpression": "attribute_not_exists(pk) OR revision = :before",
            "ExpressionAttributeValues": _pack({":before": registry_revision}),
        }
        with translated(_FAMILY, f"Registering the rule {rule.name}"):
            try:
                self._client.transact_write_items(TransactItems=[{"Put": add_rule}, {"Put": count_up}])
            except ClientError as error:
                if code_of(error) != "TransactionCanceledException":
                    raise
                self._explain_refused_create(rule, error)

    def _explain_refused_create(self, rule: Rule, error: ClientError) -> None:
        """Say why the transaction was refused; nothing, when it is our own write that is there already."""
        there = self.find_rule(rule.name)
        if there == rule:
            return
        if there is not None:
            raise NameTaken(
                f"There is a rule {rule.name} already.", field="name", hint="Choose another name."
            ) from error
        raise RuleBusy("Another rule was added at the same moment.", hint="Send the request again.") from error

    def replace_rule(self, rule: Rule, revision: int) -> None:
        item = {**_rule_key(rule.name), "rule": rule.as_record()}
        there = self._put_if(
            item, "#rule.revision = :before", {"#rule": "rule"}, {":before": revision}, "Changing a rule"
        )
        if there is not None and there.get("rule") != _normal(rule.as_record()):
            raise RuleBusy(
                f"The rule {rule.name} was changed by somebody else at the same moment.",
                hint="Look at it again with `get` and repeat the request.",
            )

    def remove_rule(self, name: str) -> None:
        self._delete(_lease_key(name), "Removing a rule's lease")
        self._delete(_rule_key(name), f"Removing the rule {name}")

    # ---------------------------------------------------------------- leases

    def find_lease_owner(self, rule: str) -> str | None:
        item = self._get(_lease_key(rule))
        return str(item["owner"]) if item else None

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        item = {**_lease_key(rule), "owner": owner, "renewed_at": now.isoformat()}
        there = self._put_if(
            item,
            "attribute_not_exists(pk) OR #owner IN (:me, :other)",
            {"#owner": "owner"},
            {":me": owner, ":other": instead_of or owner},
            "Taking the lease",
        )
        return there is None or there.get("owner") == owner

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        item = {**_lease_key(rule), "owner": owner, "renewed_at": now.isoformat()}
        there = self._put_if(item, "#owner = :me", {"#owner": "owner"}, {":me": owner}, "Renewing the lease")
        if there is not None:
            raise LeaseLost(
                f"This run of {rule} no longer holds the rule's lease, so it stops before it writes anything more.",
                hint="The rule was deleted, or a later run took over because this one seemed to have ended.",
            )

    def free_lease(self, rule: str, owner: str) -> None:
        with translated(_FAMILY, "Freeing the lease"):
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=_pack(_lease_key(rule)),
                    ConditionExpression="#owner = :me",
                    ExpressionAttributeNames={"#owner": "owner"},
                    ExpressionAttributeValues=_pack({":me": owner}),
                )
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise  # otherwise it is another's, or gone: nothing of ours to free

    # --------------------------------------------------------------- uploads

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            item = {**_upload_key(rule, upload), "key": upload.key, "upload_id": upload.upload_id}
            with translated(_FAMILY, "Recording an open upload"):
                self._client.put_item(TableName=self._table, Item=_pack(item))

    def remembered_uploads(self, rule: str) -> list[Upload]:
        items = self._query(f"rule#{rule}", "upload#")
        return [Upload(str(item["key"]), str(item["upload_id"])) for item in items]

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            self._delete(_upload_key(rule, upload), "Striking an upload off the record")

    # -------------------------------------------------------------- attempts

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        # Read and put back: only the one run that holds the lease counts.
        there = self._get(_attempt_key(rule, transfer)) or {}
        count = int(there["count"]) + 1 if there.get("leg") == leg else 1
        with translated(_FAMILY, "Counting an attempt"):
            item = {**_attempt_key(rule, transfer), "leg": leg, "count": count}
            self._client.put_item(TableName=self._table, Item=_pack(item))
        return count

    def forget_attempts(self, rule: str, transfer: str) -> None:
        self._delete(_attempt_key(rule, transfer), "Striking attempts off the record")

    # --------------------------------------------------------------- private

    def _get(self, key: Record) -> Record | None:
        with translated(_FAMILY, "Reading the rule table"):
            item = self._client.get_item(TableName=self._table, Key=_pack(key), ConsistentRead=True).get("Item")
        return _unpack(item) if item else None

    def _query(self, partition: str, sort_prefix: str = "") -> list[Record]:
        condition, values = "pk = :pk", {":pk": partition}
        if sort_prefix:
            condition, values = "pk = :pk AND begins_with(sk, :sk)", {":pk": partition, ":sk": sort_prefix}
        with translated(_FAMILY, "Reading the rule table"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=_pack(values),
            )
            return [_unpack(item) for page in pages for item in page["Items"]]

    def _put_if(self, item: Record, condition: str, names: dict[str, str], values: Record, what: str) -> Record | None:
        """Put an item if the condition holds; otherwise return the item that is there ({} for none)."""
        with translated(_FAMILY, what):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=_pack(item),
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=_pack(values),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                return _unpack(error.response.get("Item", {}))  # botocore puts it there
        return None

    def _delete(self, key: Record, what: str) -> None:
        with translated(_FAMILY, what):
            self._client.delete_item(TableName=self._table, Key=_pack(key))


def _normal(record: Record) -> Record:
    """A record as it comes back from the table, where every number is a Decimal."""
    return _unpack(_pack(record))
