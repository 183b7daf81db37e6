"""The items of the one DynamoDB table: their keys, how they are packed, read and written.

    pk          sk                     what
    rules       {rule}                 a rule, as its record
    registry    ended                  there once the stack began to go
    registry    revision               how often a rule took a place or a vault came or went; guards looks at all
    status      {rule}                 how it is: its last `run`, the copies `kept`, its `block`; each written by itself
    sent        {rule}                 what was last sent to Scheduler
    vaults      {vault}                a vault, as its record
    probes      {vault}                what its last probe found
    freezes     {rule}                 writes that a run has frozen, and what thaws them; outlives the rule
    deleted     {rule}                 how it was deleted; `expires_at`
    rule#{rule} lease                  who may write for the rule
    rule#{rule} run#{started_at}#{run} the history, a run each; `expires_at`
    rule#{rule} upload#{key}#{id}      a multipart upload that is open
    rule#{rule} check#{copy_id}        when a copy was last read again
    rule#{rule} made#{name}            a backup that a run has asked the provider for
    rule#{rule} attempt#{transfer}     which leg of a transfer has begun, and how often

Every read is consistent. DynamoDB removes what has expired some days late ("Using time to live (TTL)"), so reading
leaves it out by itself.

A conditional write whose answer was lost is repeated by the SDK and then fails its own condition; so after a failed
condition the item that is there is looked at before it is called a failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from rdbkeeper.aws.errors import Family, code_of, tolerated, translated
from rdbkeeper.domain.errors import TableDenied, TableRefused, TableUnavailable
from rdbkeeper.ports import Record

FAMILY = Family(
    TableDenied,
    TableUnavailable,
    TableRefused,
    # What is left of these when failed conditions and conflicts are set aside: capacity, as a rule.
    special={"TransactionCanceledException": (TableUnavailable, "This passes by itself as a rule.")},
)
REGISTRY = {"pk": "registry", "sk": "revision"}
_REFUSED = "ConditionalCheckFailedException"
_READING = "Reading the rule table"
_to_attribute = TypeSerializer().serialize
_from_attribute = TypeDeserializer().deserialize


def rule_key(rule: str) -> Record:
    """The key of a rule's record."""
    return {"pk": "rules", "sk": rule}


def status_key(rule: str) -> Record:
    """The key of what is on record about how a rule is."""
    return {"pk": "status", "sk": rule}


def rule_partition(rule: str) -> str:
    """The partition of all that the rule's runs put down."""
    return f"rule#{rule}"


def pack(item: Mapping[str, Any]) -> Record:
    """Plain data in DynamoDB's form."""
    return {name: _to_attribute(_with_decimals(value)) for name, value in item.items()}


def unpack(item: Mapping[str, Any]) -> Record:
    """Plain data again; a whole number comes back as an int, whatever it was."""
    return {name: _without_decimals(_from_attribute(value)) for name, value in item.items()}


def _with_decimals(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))  # DynamoDB's numbers are decimal, and its client takes no float
    if isinstance(value, Mapping):
        return {name: _with_decimals(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_decimals(part) for part in value]
    return value


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _without_decimals(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_decimals(part) for part in value]
    return value


@dataclass(frozen=True)
class Condition:
    """What must hold for a write or of a key: DynamoDB's expression, and what its `#names` and `:values` stand for."""

    expression: str
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def parameters(self, expression_parameter: str = "ConditionExpression") -> Record:
        """The parameters of a call; DynamoDB refuses empty ones."""
        found: Record = {expression_parameter: self.expression}
        if self.names:
            found["ExpressionAttributeNames"] = dict(self.names)
        if self.values:
            found["ExpressionAttributeValues"] = pack(self.values)
        return found


class TableItems:
    """One table over a DynamoDB client, in plain data."""

    def __init__(self, client: Any, table: str) -> None:
        self.client = client
        self.table = table

    # ----------------------------------------------------------------- reads

    def find(self, key: Record) -> Record | None:
        """The item under a key, or None."""
        with translated(FAMILY, _READING):
            item = self.client.get_item(TableName=self.table, Key=pack(key), ConsistentRead=True).get("Item")
        return unpack(item) if item else None

    def query(self, where: Condition, **options: Any) -> list[Record]:
        """Every item of a partition for which `where` holds, in the order of their keys."""
        return [item for page in self.pages(where, **options) for item in page]

    def pages(self, where: Condition, **options: Any) -> Iterator[list[Record]]:
        """The same, as DynamoDB hands them out: at most 1 MB at a time."""
        with translated(FAMILY, _READING):
            for page in self.client.get_paginator("query").paginate(**self._question(where), **options):
                yield [unpack(item) for item in page["Items"]]

    def query_some(self, where: Condition, limit: int, **options: Any) -> tuple[list[Record], bool]:
        """At most `limit` items in one read, and whether there may be more; fewer where 1 MB is reached."""
        with translated(FAMILY, _READING):
            answer = self.client.query(**self._question(where), Limit=limit, **options)
        return [unpack(item) for item in answer["Items"]], bool(answer.get("LastEvaluatedKey"))

    def _question(self, where: Condition) -> Record:
        return {"TableName": self.table, "ConsistentRead": True, **where.parameters("KeyConditionExpression")}

    # ---------------------------------------------------------------- writes

    def put(self, item: Record, what: str) -> None:
        """Write an item, whatever is there."""
        with translated(FAMILY, what):
            self.client.put_item(TableName=self.table, Item=pack(item))

    def put_if(self, item: Record, condition: Condition, what: str) -> Record | None:
        """Write an item if the condition holds; otherwise return the item that is there ({} for none)."""
        with translated(FAMILY, what):
            try:
                self.client.put_item(
                    TableName=self.table,
                    Item=pack(item),
                    **condition.parameters(),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if code_of(error) != _REFUSED:
                    raise
                return unpack(error.response.get("Item", {}))  # botocore puts it there
        return None

    def update(self, key: Record, change: str, condition: Condition, what: str) -> None:
        """Change an item's attributes, if the condition holds; `change` shares its names and values."""
        with translated(FAMILY, what), tolerated(_REFUSED):
            self.client.update_item(
                TableName=self.table, Key=pack(key), UpdateExpression=change, **condition.parameters()
            )

    def set_attribute(self, key: Record, name: str, value: Record, what: str) -> None:
        """Put one attribute of an item in place, whatever else the item has."""
        with translated(FAMILY, what):
            self.client.update_item(
                TableName=self.table,
                Key=pack(key),
                UpdateExpression="SET #name = :value",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues=pack({":value": value}),
            )

    def put_request(self, item: Record, condition: Condition) -> Record:
        """The writing of an item if the condition holds, as one of several that are written together."""
        return {"Put": {"TableName": self.table, "Item": pack(item), **condition.parameters()}}

    def delete_request(self, key: Record, condition: Condition | None = None) -> Record:
        """The removal of an item, as one of several writes."""
        parameters = condition.parameters() if condition else {}
        return {"Delete": {"TableName": self.table, "Key": pack(key), **parameters}}

    def counted_up(self, before: int) -> Record:
        """The registry's next revision, if it is at `before`, as one of several writes."""
        unchanged = Condition("attribute_not_exists(pk) OR revision = :before", {}, {":before": before})
        return self.put_request({**REGISTRY, "revision": before + 1}, unchanged)

    def write_together(self, writes: list[Record], what: str) -> ClientError | None:
        """Write all or nothing; returns the refusal when a condition did not hold or others wrote at that moment."""
        with translated(FAMILY, what):
            try:
                self.client.transact_write_items(TransactItems=writes)
            except ClientError as error:
                reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
                others = {"ConditionalCheckFailed", "TransactionConflict"}
                if code_of(error) != "TransactionCanceledException" or not reasons & others:
                    raise
                return error
        return None

    def delete(self, key: Record, what: str) -> None:
        """Remove an item. One that is gone is no error."""
        with translated(FAMILY, what):
            self.client.delete_item(TableName=self.table, Key=pack(key))

    def delete_if(self, key: Record, condition: Condition, what: str) -> None:
        """Remove an item if the condition holds."""
        with translated(FAMILY, what), tolerated(_REFUSED):
            self.client.delete_item(TableName=self.table, Key=pack(key), **condition.parameters())


def in_partition(partition: str, sort_prefix: str = "") -> Condition:
    """All items of a partition, or those whose sort key begins so."""
    if not sort_prefix:
        return Condition("pk = :pk", {}, {":pk": partition})
    return Condition("pk = :pk AND begins_with(sk, :sk)", {}, {":pk": partition, ":sk": sort_prefix})


def between(partition: str, first: str, last: str) -> Condition:
    """The items of a partition from one sort key to another, both included."""
    return Condition("pk = :pk AND sk BETWEEN :first AND :last", {}, {":pk": partition, ":first": first, ":last": last})
