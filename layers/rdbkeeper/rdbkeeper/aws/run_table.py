"""Leases, the history of runs, open uploads and begun legs, in DynamoDB; `table_items` shows the layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rdbkeeper.aws.table_items import (
    Condition,
    TableItems,
    between,
    in_partition,
    rule_key,
    rule_partition,
    status_key,
)
from rdbkeeper.domain.backup_first import Freeze, MadeBackup
from rdbkeeper.domain.errors import LeaseLost
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.outcome import Outcome
from rdbkeeper.domain.status import KeptCopies, RunReport
from rdbkeeper.ports import Clock, Record, RunsPage, Upload

KEPT_FOR = timedelta(days=400)
# An item is at most 400 KB, names and all ("Service, account, and table quotas in Amazon DynamoDB").
LARGEST_REPORT_BYTES = 300_000
CUT_SHORT = " ... (cut short here; the run's log has it whole)"
_LONGEST_DETAIL = 16_384  # characters, before anything is cut

_RUN = "run#"
_CHECK = "check#"
_MADE = "made#"
_FREEZES = "freezes"
_AFTER_ALL_RUNS = "run$"  # the character after `#`
_HELD = Condition("#owner = :me", {"#owner": "owner"})


class DynamoRunTable:
    """The run table over a DynamoDB client."""

    def __init__(self, client: Any, table: str, clock: Clock) -> None:
        self._items = TableItems(client, table)
        self._clock = clock

    # ---------------------------------------------------------------- leases

    def find_lease_owner(self, rule: str) -> str | None:
        item = self._items.find(_lease_key(rule))
        return str(item["owner"]) if item else None

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        free = Condition(
            "attribute_not_exists(pk) OR #owner IN (:me, :other)",
            {"#owner": "owner"},
            {":me": owner, ":other": instead_of or owner},
        )
        there = self._items.put_if(_lease(rule, owner, now), free, "Taking the lease")
        return there is None or there.get("owner") == owner

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        held = replace(_HELD, values={":me": owner})
        if self._items.put_if(_lease(rule, owner, now), held, "Renewing the lease") is not None:
            raise LeaseLost(
                f"This run of {rule} no longer holds the rule's lease, so it stops before it writes anything more.",
                hint="The rule was deleted, or a later run took over because this one seemed to have ended.",
            )

    def free_lease(self, rule: str, owner: str) -> None:
        self._items.delete_if(_lease_key(rule), replace(_HELD, values={":me": owner}), "Freeing the lease")

    # ------------------------------------------------------------------ runs

    def record_run(self, rule: str, report: RunReport, kept: KeptCopies | None = None) -> None:
        # A run that outlived its rule must not begin the history of the next one of that name. One that is removed
        # between this look and the writes leaves two rows that nobody is shown: a status is looked up for a rule that
        # is there, and making a rule strikes it off; the history's row expires.
        if self._items.find(rule_key(rule)) is None:
            return
        row = {
            **_run_key(rule, report),
            "report": _fitting_record(report),
            "expires_at": int((report.started_at + KEPT_FOR).timestamp()),
        }
        self._items.put(row, "Putting a run down in the history")
        if kept is not None:
            self._items.set_attribute(status_key(rule), "kept", kept.as_record(), "Noting which copies are kept")
        self._note_last_run(rule, report.as_summary())

    def _note_last_run(self, rule: str, summary: Record) -> None:
        # One that was cut off may report after the run that took over from it has begun.
        not_older = Condition(
            "attribute_not_exists(#run) OR #run.started_at <= :started_at",
            {"#run": "run"},
            {":run": summary, ":started_at": summary["started_at"]},
        )
        self._items.update(status_key(rule), "SET #run = :run", not_older, "Noting the last run")

    def history(self, rule: str, before: str, limit: int) -> RunsPage:
        # What has expired lies below `oldest`, as every run is kept equally long.
        oldest = _RUN + write_moment(self._clock.now() - KEPT_FOR)
        newest = _RUN + before if before else _AFTER_ALL_RUNS
        if newest < oldest:
            return RunsPage((), "")  # DynamoDB refuses a range that ends before it begins
        items, more = self._items.query_some(
            between(rule_partition(rule), oldest, newest), limit + 1, ScanIndexForward=False
        )
        next_before = ""
        if more or len(items) > limit:
            next_before = str(items.pop()["sk"]).removeprefix(_RUN)  # the next page begins with the one too many
        return RunsPage(tuple(_read_report(item["report"]) for item in items), next_before)

    # --------------------------------------------------------------- uploads

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            item = {**_upload_key(rule, upload), "key": upload.key, "upload_id": upload.upload_id}
            self._items.put(item, "Recording an open upload")

    def remembered_uploads(self, rule: str) -> list[Upload]:
        items = self._items.query(in_partition(rule_partition(rule), "upload#"))
        return [Upload(str(item["key"]), str(item["upload_id"])) for item in items]

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            self._items.delete(_upload_key(rule, upload), "Striking an upload off the record")

    # -------------------------------------------------------------- attempts

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        # Read and put back: only the one run that holds the lease counts.
        there = self._items.find(_attempt_key(rule, transfer)) or {}
        count = int(there["count"]) + 1 if there.get("leg") == leg else 1
        self._items.put({**_attempt_key(rule, transfer), "leg": leg, "count": count}, "Counting an attempt")
        return count

    def forget_attempts(self, rule: str, transfer: str) -> None:
        self._items.delete(_attempt_key(rule, transfer), "Striking attempts off the record")

    def forget_all_attempts(self, rule: str) -> None:
        for item in self._items.query(in_partition(rule_partition(rule), "attempt#")):
            self._items.delete({"pk": item["pk"], "sk": item["sk"]}, "Striking attempts off the record")

    # ------------------------------------------------------ backups on demand

    def record_freeze(self, rule: str, freeze: Freeze) -> None:
        self._items.put({**_freeze_key(rule), "freeze": freeze.as_record()}, "Noting that writes are to be frozen")

    def find_freeze(self, rule: str) -> Freeze | None:
        item = self._items.find(_freeze_key(rule))
        return Freeze.from_record(item["freeze"]) if item else None

    def freezes(self) -> dict[str, Freeze]:
        items = self._items.query(in_partition(_FREEZES))
        return {str(item["sk"]): Freeze.from_record(item["freeze"]) for item in items}

    def forget_freeze(self, rule: str, execution: str) -> None:
        its = Condition("#freeze.#execution = :execution", {"#freeze": "freeze", "#execution": "execution"})
        self._items.delete_if(
            _freeze_key(rule), replace(its, values={":execution": execution}), "Noting that writes go on"
        )

    def record_made_backup(self, rule: str, made: MadeBackup) -> None:
        self._items.put({**_made_key(rule, made.name), "made": made.as_record()}, "Noting a backup that is asked for")

    def made_backups(self, rule: str) -> list[MadeBackup]:
        items = self._items.query(in_partition(rule_partition(rule), _MADE))
        return [MadeBackup.from_record(item["made"]) for item in items]

    def forget_made_backup(self, rule: str, name: str) -> None:
        self._items.delete(_made_key(rule, name), "Striking a backup off the record")

    # ---------------------------------------------------------------- checks

    def record_check(self, rule: str, copy_id: str, checked_at: datetime) -> None:
        self._items.put({**_check_key(rule, copy_id), "at": write_moment(checked_at)}, "Noting a check")

    def checks(self, rule: str) -> dict[str, datetime]:
        items = self._items.query(in_partition(rule_partition(rule), _CHECK))
        return {str(item["sk"]).removeprefix(_CHECK): datetime.fromisoformat(item["at"]) for item in items}

    def forget_checks(self, rule: str, copy_ids: Sequence[str]) -> None:
        for copy_id in copy_ids:
            self._items.delete(_check_key(rule, copy_id), "Striking a check off the record")


def _lease_key(rule: str) -> Record:
    return {"pk": rule_partition(rule), "sk": "lease"}


def _lease(rule: str, owner: str, now: datetime) -> Record:
    return {**_lease_key(rule), "owner": owner, "renewed_at": now.isoformat()}


def _run_key(rule: str, report: RunReport) -> Record:
    """Times of one form and zone sort as they follow each other; the run's id keeps equal ones apart."""
    return {"pk": rule_partition(rule), "sk": f"{_RUN}{write_moment(report.started_at)}#{report.run}"}


def _upload_key(rule: str, upload: Upload) -> Record:
    return {"pk": rule_partition(rule), "sk": f"upload#{upload.key}#{upload.upload_id}"}


def _check_key(rule: str, copy_id: str) -> Record:
    return {"pk": rule_partition(rule), "sk": f"{_CHECK}{copy_id}"}


def _freeze_key(rule: str) -> Record:
    return {"pk": _FREEZES, "sk": rule}


def _made_key(rule: str, name: str) -> Record:
    return {"pk": rule_partition(rule), "sk": f"{_MADE}{name}"}


def _attempt_key(rule: str, transfer: str) -> Record:
    return {"pk": rule_partition(rule), "sk": f"attempt#{transfer}"}


def _fitting_record(report: RunReport) -> Record:
    """The report's record, with the details of its outcomes cut short where it would be too large for an item."""
    record, longest = report.as_record(), _LONGEST_DETAIL
    while len(json.dumps(record, ensure_ascii=False).encode()) > LARGEST_REPORT_BYTES and longest > 0:
        longest //= 2
        outcomes = tuple(_cut(outcome, longest) for outcome in report.outcomes)
        record = replace(report, outcomes=outcomes).as_record()
    return record


def _cut(outcome: Outcome, longest: int) -> Outcome:
    if len(outcome.detail) <= longest:
        return outcome
    return replace(outcome, detail=outcome.detail[:longest] + CUT_SHORT)


def _read_report(record: Record) -> RunReport:
    # Only here is a number with a fraction, and 14.0 came back as 14.
    outcomes = [{**outcome, "seconds": float(outcome["seconds"])} for outcome in record["outcomes"]]
    return RunReport.from_record({**record, "outcomes": outcomes})
