"""Rules, how they are, what was sent for them and how they were deleted, in DynamoDB.

`table_items` shows the layout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rdbkeeper.aws.errors import translated
from rdbkeeper.aws.table_items import (
    FAMILY,
    REGISTRY,
    Condition,
    TableItems,
    between,
    in_partition,
    pack,
    rule_key,
    rule_partition,
    status_key,
)
from rdbkeeper.domain.errors import InvalidRequest, NameTaken, RuleBusy, TableUnavailable
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import Block, KeptCopies, RuleStatus, RunReport
from rdbkeeper.ports import Clock, Record, RulesPage

if TYPE_CHECKING:
    from rdbkeeper.domain.fleet.parts import ScheduleSent

DELETIONS_KEPT_FOR = timedelta(days=30)
_FLEET_END = {"pk": "registry", "sk": "ended"}
_ABSENT = Condition("attribute_not_exists(pk)")
_MOST_IN_A_BATCH = 25  # BatchWriteItem, DynamoDB API reference
# What a batch leaves undone is to be sent again after a growing pause (BatchWriteItem); this is some 6 s in all.
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


class DynamoRuleTable:
    """The rule table over a DynamoDB client."""

    def __init__(self, client: Any, table: str, clock: Clock, pause: Callable[[float], None] = time.sleep) -> None:
        self._items = TableItems(client, table)
        self._clock = clock
        self._pause = pause

    # ----------------------------------------------------------------- rules

    def find_rule(self, name: str) -> Rule | None:
        item = self._items.find(rule_key(name))
        return Rule.from_record(item["rule"]) if item else None

    def rules(self) -> list[Rule]:
        return _read_rules(self._items.query(in_partition("rules")))

    def rules_page(self, after: str, limit: int) -> RulesPage:
        # One more than is shown tells whether there are more. DynamoDB takes no empty key, not even to compare with.
        every = in_partition("rules")
        later = Condition("pk = :pk AND sk > :after", {}, {":pk": "rules", ":after": after})
        items, cut_off = self._items.query_some(later if after else every, limit + 1)
        if not items:
            return RulesPage((), "")
        rules = _read_rules(items[:limit])
        first, last = str(items[0]["sk"]), str(items[:limit][-1]["sk"])
        statuses = _read_statuses(self._items.query(between("status", first, last)))
        more = cut_off or len(items) > limit
        return RulesPage(
            tuple((rule, statuses.get(rule.name, RuleStatus())) for rule in rules), next_after=last if more else ""
        )

    def registry_revision(self) -> int:
        item = self._items.find(REGISTRY)
        return int(item["revision"]) if item else 0

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        leftovers = [status_key(rule.name), _sent_key(rule.name), _deletion_key(rule.name)]
        writes = [
            self._put_rule(rule, _ABSENT),
            self._items.counted_up(registry_revision),
            *(self._items.delete_request(key) for key in leftovers),
        ]
        refusal = self._items.write_together(writes, f"Registering the rule {rule.name}")
        if refusal is None or self._is_there(rule):
            return
        if self.find_rule(rule.name) is not None:
            raise NameTaken(
                f"There is a rule {rule.name} already.", field="name", hint="Choose another name."
            ) from refusal
        raise RuleBusy("Another rule took its place at the same moment.", hint="Send the request again.") from refusal

    def replace_rule(self, rule: Rule, revision: int, registry_revision: int | None = None) -> None:
        at_revision = Condition("#rule.revision = :before", {"#rule": "rule"}, {":before": revision})
        writes = [self._put_rule(rule, at_revision)]
        if registry_revision is not None:
            writes.append(self._items.counted_up(registry_revision))
        refusal = self._items.write_together(writes, f"Changing the rule {rule.name}")
        if refusal is not None and not self._is_there(rule):
            raise RuleBusy(
                f"The rule {rule.name}, or who keeps copies where, was changed by somebody else at the same moment.",
                hint="Look at it again with `get` and repeat the request.",
            ) from refusal

    def remove_rule(self, name: str, revision: int, deletion: Record) -> None:
        there = self.find_rule(name)
        if there is not None and there.revision != revision:
            return
        # The rule itself goes last: until then it shows that there is something to finish, wherever this was cut off.
        self._record_deletion(name, deletion)
        keys_only = {"ProjectionExpression": "pk, sk"}
        for keys in self._items.pages(in_partition(rule_partition(name)), **keys_only):
            self._delete_all(keys, f"Removing what is on record for {name}")
        for key in (status_key(name), _sent_key(name)):
            self._items.delete(key, f"Removing the rule {name}")
        at_revision = Condition("#rule.revision = :revision", {"#rule": "rule"}, {":revision": revision})
        self._items.delete_if(rule_key(name), at_revision, f"Removing the rule {name}")

    # ------------------------------------------------------------- deletions

    def find_deletion(self, name: str) -> Record | None:
        item = self._items.find(_deletion_key(name))
        if item is None or item["expires_at"] < self._now_s():
            return None
        deletion: Record = item["deletion"]
        return deletion

    def deletions(self) -> list[str]:
        deleted = Condition("pk = :pk", {}, {":pk": "deleted", ":now": self._now_s()})
        items = self._items.query(deleted, FilterExpression="expires_at >= :now", ProjectionExpression="sk")
        return [str(item["sk"]) for item in items]

    def _record_deletion(self, name: str, deletion: Record) -> None:
        # The first one stays: making a rule strikes off the last one's, so what is there is of this very rule.
        item = {
            **_deletion_key(name),
            "deletion": deletion,
            "expires_at": self._now_s() + int(DELETIONS_KEPT_FOR.total_seconds()),
        }
        none_yet = Condition("attribute_not_exists(pk) OR expires_at < :now", {}, {":now": self._now_s()})
        self._items.put_if(item, none_yet, f"Recording that the rule {name} is deleted")

    def fleet_has_ended(self) -> bool:
        return self._items.find(_FLEET_END) is not None

    def record_fleet_end(self, *, ended: bool) -> None:
        if ended:
            self._items.put(_FLEET_END, "Noting that the fleet has ended")
        else:
            self._items.delete(_FLEET_END, "Noting that the fleet is there")

    # -------------------------------------------------------------- statuses

    def find_status(self, name: str) -> RuleStatus:
        return _read_status(self._items.find(status_key(name)) or {})

    def statuses(self) -> dict[str, RuleStatus]:
        return _read_statuses(self._items.query(in_partition("status")))

    def record_block(self, rule: str, block: Block | None) -> None:
        # For a rule that is gone by now this leaves a row that nobody is shown: a status is looked up for a rule that
        # is there, and making a rule of that name strikes it off.
        what = f"Noting what keeps the rule {rule} from its work"
        if block is not None:
            self._items.set_attribute(status_key(rule), "block", block.as_record(), what)
            return
        there = Condition("attribute_exists(#block)", {"#block": "block"})
        self._items.update(status_key(rule), "REMOVE #block", there, what)

    # -------------------------------------------------------- schedules sent

    def sent_schedules(self) -> dict[str, dict[str, ScheduleSent]]:
        items = self._items.query(in_partition("sent"))
        return {str(item["sk"]): _read_sent(item["schedules"]) for item in items}

    def find_sent_schedules(self, rule: str) -> dict[str, ScheduleSent]:
        item = self._items.find(_sent_key(rule))
        return _read_sent(item["schedules"]) if item else {}

    def record_sent_schedules(self, rule: str, sent: Mapping[str, ScheduleSent]) -> None:
        what = f"Recording the schedules of the rule {rule}"
        if sent:
            self._items.put({**_sent_key(rule), "schedules": _write_sent(sent)}, what)
        else:
            self._items.delete(_sent_key(rule), what)

    # --------------------------------------------------------------- private

    def _now_s(self) -> int:
        return int(self._clock.now().timestamp())

    def _is_there(self, rule: Rule) -> bool:
        """True when it is our own write that is there: its answer was lost, and it was repeated."""
        there = self.find_rule(rule.name)
        return there is not None and there.as_record() == rule.as_record()

    def _put_rule(self, rule: Rule, condition: Condition) -> Record:
        return self._items.put_request({**rule_key(rule.name), "rule": rule.as_record()}, condition)

    def _delete_all(self, keys: Sequence[Record], what: str) -> None:
        for first in range(0, len(keys), _MOST_IN_A_BATCH):
            batch = keys[first : first + _MOST_IN_A_BATCH]
            left = {self._items.table: [{"DeleteRequest": {"Key": pack(key)}} for key in batch]}
            for pause_s in _PAUSES_S:
                with translated(FAMILY, what):
                    left = self._items.client.batch_write_item(RequestItems=left).get("UnprocessedItems", {})
                if not left:
                    break
                self._pause(pause_s)
            else:
                raise TableUnavailable(
                    f"{what} stopped: the table was too busy for some of it.",
                    hint="Send the request again; it goes on where this one stopped.",
                )


def _read_rules(items: Sequence[Record]) -> list[Rule]:
    """The rules of rows; one that is no rule, after a rollback or an edit by hand, must not hide the others."""
    rules = []
    for item in items:
        try:
            rules.append(Rule.from_record(item["rule"]))
        except (InvalidRequest, KeyError, TypeError, ValueError):
            continue  # its function is reported as one without a rule, and kept
    return rules


def _sent_key(rule: str) -> Record:
    return {"pk": "sent", "sk": rule}


def _deletion_key(rule: str) -> Record:
    return {"pk": "deleted", "sk": rule}


def _read_status(item: Mapping[str, Any]) -> RuleStatus:
    return RuleStatus(
        last_run=RunReport.from_record(item["run"]) if "run" in item else None,
        kept=KeptCopies.from_record(item["kept"]) if "kept" in item else KeptCopies(),
        block=Block.from_record(item["block"]) if "block" in item else None,
    )


def _read_statuses(items: Sequence[Mapping[str, Any]]) -> dict[str, RuleStatus]:
    statuses = {str(item["sk"]): _read_status(item) for item in items}
    return {name: status for name, status in statuses.items() if status != RuleStatus()}


def _write_sent(sent: Mapping[str, ScheduleSent]) -> Record:
    return {
        name: {"fingerprint": one.fingerprint, "modified_at": one.modified_at.astimezone(UTC).isoformat()}
        for name, one in sent.items()
    }


def _read_sent(record: Mapping[str, Mapping[str, str]]) -> dict[str, ScheduleSent]:
    # A rule's function reads this table too, and never what was sent to Scheduler: its starts go without these parts.
    from rdbkeeper.domain.fleet.parts import ScheduleSent

    return {
        name: ScheduleSent(one["fingerprint"], datetime.fromisoformat(one["modified_at"]))
        for name, one in record.items()
    }
