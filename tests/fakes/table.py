"""The tables in memory: what runs and rules put down in one store, kept as text so that nobody can change it later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from rdbkeeper.domain.backup_first import Freeze, MadeBackup
from rdbkeeper.domain.errors import LeaseLost, NameTaken, RuleBusy
from rdbkeeper.domain.fleet.parts import ScheduleSent
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import Block, KeptCopies, RuleStatus, RunReport
from rdbkeeper.domain.vault import DEFAULT_VAULT, ProbeReport, VaultBinding
from rdbkeeper.ports import Clock, Record, RulesPage, RunsPage, Upload
from tests.fakes.clock import FakeClock

DELETIONS_KEPT_FOR = timedelta(days=30)
RUNS_KEPT_FOR = timedelta(days=400)


@lru_cache(maxsize=256)
def _read_rule(text: str) -> Rule:
    return Rule.from_record(json.loads(text))


@dataclass
class MemoryTables:
    """What both tables hold; `rules` and `runs` are the ports over it."""

    clock: Clock = field(default_factory=FakeClock)
    leases: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, list[Upload]] = field(default_factory=dict)
    attempts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    registry_revision: int = 0
    fleet_ended: bool = False
    rule_records: dict[str, str] = field(default_factory=dict)
    status_records: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: dict[str, dict[str, ScheduleSent]] = field(default_factory=dict)
    deletions: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    histories: dict[str, dict[str, str]] = field(default_factory=dict)
    check_times: dict[str, dict[str, datetime]] = field(default_factory=dict)
    freeze_records: dict[str, str] = field(default_factory=dict)
    made_records: dict[str, dict[str, str]] = field(default_factory=dict)
    vault_records: dict[str, str] = field(default_factory=dict)
    probe_records: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.vaults = MemoryVaultTable(self)
        self.rules = MemoryRuleTable(self)
        self.runs = MemoryRunTable(self)

    def take_place(self, registry_revision: int) -> None:
        """Let the registry's revision grow, if nothing was registered since the one given."""
        if registry_revision != self.registry_revision:
            raise RuleBusy("Another rule took its place at the same moment.")
        self.registry_revision += 1


class MemoryRuleTable:
    def __init__(self, tables: MemoryTables | None = None) -> None:
        self._tables = tables or MemoryTables()

    def find_rule(self, name: str) -> Rule | None:
        record = self._tables.rule_records.get(name)
        return _read_rule(record) if record else None

    def rules(self) -> list[Rule]:
        return [_read_rule(record) for _, record in sorted(self._tables.rule_records.items())]

    def rules_page(self, after: str, limit: int) -> RulesPage:
        assert limit > 0
        rules = [rule for rule in self.rules() if rule.name > after]
        page = tuple((rule, self.find_status(rule.name)) for rule in rules[:limit])
        return RulesPage(page, rules[limit - 1].name if len(rules) > limit else "")

    def registry_revision(self) -> int:
        return self._tables.registry_revision

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        if self._is_there(rule):
            return
        if rule.name in self._tables.rule_records:
            raise NameTaken(f"There is a rule {rule.name} already.", field="name")
        self._take_place(registry_revision)
        self._put(rule)
        for leftovers in (self._tables.status_records, self._tables.sent, self._tables.deletions):
            leftovers.pop(rule.name, None)

    def replace_rule(self, rule: Rule, revision: int, registry_revision: int | None = None) -> None:
        if self._is_there(rule):
            return
        there = self.find_rule(rule.name)
        if there is None or there.revision != revision:
            raise RuleBusy(f"The rule {rule.name} was changed by somebody else at the same moment.")
        if registry_revision is not None:
            self._take_place(registry_revision)
        self._put(rule)

    def remove_rule(self, name: str, revision: int, deletion: Record) -> None:
        tables = self._tables
        there = self.find_rule(name)
        if there is not None and there.revision != revision:
            return
        if self.find_deletion(name) is None:
            tables.deletions[name] = (tables.clock.now() + DELETIONS_KEPT_FOR, json.dumps(deletion))
        for attempt in [key for key in tables.attempts if key[0] == name]:
            del tables.attempts[attempt]
        for records in (
            tables.leases,
            tables.uploads,
            tables.histories,
            tables.check_times,
            tables.made_records,
            tables.status_records,
            tables.sent,
            tables.rule_records,
        ):
            records.pop(name, None)

    def find_deletion(self, name: str) -> Record | None:
        if name not in self.deletions():
            return None
        deletion: Record = json.loads(self._tables.deletions[name][1])
        return deletion

    def deletions(self) -> list[str]:
        now = self._tables.clock.now()
        return sorted(name for name, (expires_at, _) in self._tables.deletions.items() if expires_at >= now)

    def fleet_has_ended(self) -> bool:
        return self._tables.fleet_ended

    def record_fleet_end(self, *, ended: bool) -> None:
        self._tables.fleet_ended = ended

    def find_status(self, name: str) -> RuleStatus:
        parts = {part: json.loads(text) for part, text in self._tables.status_records.get(name, {}).items()}
        return RuleStatus(
            RunReport.from_record(parts["run"]) if "run" in parts else None,
            KeptCopies.from_record(parts["kept"]) if "kept" in parts else KeptCopies(),
            Block.from_record(parts["block"]) if "block" in parts else None,
        )

    def statuses(self) -> dict[str, RuleStatus]:
        found = {name: self.find_status(name) for name in sorted(self._tables.status_records)}
        return {name: status for name, status in found.items() if status != RuleStatus()}

    def record_block(self, rule: str, block: Block | None) -> None:
        if block is not None:
            self._tables.status_records.setdefault(rule, {})["block"] = json.dumps(block.as_record())
        else:
            self._tables.status_records.get(rule, {}).pop("block", None)

    def sent_schedules(self) -> dict[str, dict[str, ScheduleSent]]:
        return {rule: dict(sent) for rule, sent in sorted(self._tables.sent.items())}

    def find_sent_schedules(self, rule: str) -> dict[str, ScheduleSent]:
        return dict(self._tables.sent.get(rule, {}))

    def record_sent_schedules(self, rule: str, sent: Mapping[str, ScheduleSent]) -> None:
        if sent:
            self._tables.sent[rule] = dict(sent)
        else:
            self._tables.sent.pop(rule, None)

    def _take_place(self, registry_revision: int) -> None:
        self._tables.take_place(registry_revision)

    def _is_there(self, rule: Rule) -> bool:
        """True when the very same rule is there: then the request is one whose answer was lost."""
        return self._tables.rule_records.get(rule.name) == json.dumps(rule.as_record())

    def _put(self, rule: Rule) -> None:
        self._tables.rule_records[rule.name] = json.dumps(rule.as_record())


class MemoryRunTable:
    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables

    def find_lease_owner(self, rule: str) -> str | None:
        return self._tables.leases.get(rule)

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        if self._tables.leases.get(rule) not in (None, owner, instead_of):
            return False
        self._tables.leases[rule] = owner
        return True

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        if self._tables.leases.get(rule) != owner:
            raise LeaseLost(f"This run of {rule} no longer holds the rule's lease.")

    def free_lease(self, rule: str, owner: str) -> None:
        if self._tables.leases.get(rule) == owner:
            del self._tables.leases[rule]

    def record_run(self, rule: str, report: RunReport, kept: KeptCopies | None = None) -> None:
        if rule not in self._tables.rule_records:
            return
        key = f"{write_moment(report.started_at)}#{report.run}"
        self._tables.histories.setdefault(rule, {})[key] = json.dumps(report.as_record())
        status = self._tables.status_records.setdefault(rule, {})
        if kept is not None:
            status["kept"] = json.dumps(kept.as_record())
        summary = report.as_summary()
        if "run" not in status or json.loads(status["run"])["started_at"] <= summary["started_at"]:
            status["run"] = json.dumps(summary)

    def history(self, rule: str, before: str, limit: int) -> RunsPage:
        assert limit > 0
        oldest = write_moment(self._tables.clock.now() - RUNS_KEPT_FOR)
        rows = self._tables.histories.get(rule, {})
        keys = [key for key in sorted(rows, reverse=True) if key >= oldest and (not before or key <= before)]
        runs = tuple(RunReport.from_record(json.loads(rows[key])) for key in keys[:limit])
        return RunsPage(runs, keys[limit] if len(keys) > limit else "")

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        known = self._tables.uploads.setdefault(rule, [])
        known += [upload for upload in uploads if upload not in known]

    def remembered_uploads(self, rule: str) -> list[Upload]:
        return list(self._tables.uploads.get(rule, []))

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        left = [upload for upload in self._tables.uploads.get(rule, []) if upload not in uploads]
        self._tables.uploads[rule] = left

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        last_leg, count = self._tables.attempts.get((rule, transfer), (leg, 0))
        count = count + 1 if last_leg == leg else 1
        self._tables.attempts[rule, transfer] = (leg, count)
        return count

    def forget_attempts(self, rule: str, transfer: str) -> None:
        self._tables.attempts.pop((rule, transfer), None)

    def forget_all_attempts(self, rule: str) -> None:
        for of_rule, transfer in list(self._tables.attempts):
            if of_rule == rule:
                self.forget_attempts(rule, transfer)

    def record_freeze(self, rule: str, freeze: Freeze) -> None:
        self._tables.freeze_records[rule] = json.dumps(freeze.as_record())

    def find_freeze(self, rule: str) -> Freeze | None:
        return self.freezes().get(rule)

    def freezes(self) -> dict[str, Freeze]:
        return {
            rule: Freeze.from_record(json.loads(text)) for rule, text in sorted(self._tables.freeze_records.items())
        }

    def forget_freeze(self, rule: str, execution: str) -> None:
        freeze = self.find_freeze(rule)
        if freeze is not None and freeze.execution == execution:
            del self._tables.freeze_records[rule]

    def record_made_backup(self, rule: str, made: MadeBackup) -> None:
        self._tables.made_records.setdefault(rule, {})[made.name] = json.dumps(made.as_record())

    def made_backups(self, rule: str) -> list[MadeBackup]:
        rows = self._tables.made_records.get(rule, {})
        return [MadeBackup.from_record(json.loads(text)) for _, text in sorted(rows.items())]

    def forget_made_backup(self, rule: str, name: str) -> None:
        self._tables.made_records.get(rule, {}).pop(name, None)

    def record_check(self, rule: str, copy_id: str, checked_at: datetime) -> None:
        self._tables.check_times.setdefault(rule, {})[copy_id] = checked_at

    def checks(self, rule: str) -> dict[str, datetime]:
        return dict(self._tables.check_times.get(rule, {}))

    def forget_checks(self, rule: str, copy_ids: Sequence[str]) -> None:
        for copy_id in copy_ids:
            self._tables.check_times.get(rule, {}).pop(copy_id, None)


class MemoryVaultTable:
    """The default vault is `the-default-bucket` until it is replaced."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self._default = VaultBinding(DEFAULT_VAULT, "the-default-bucket", tables.clock.now(), region="eu-west-1")

    def find_vault(self, name: str) -> VaultBinding | None:
        record = self._tables.vault_records.get(name)
        if record is not None:
            return VaultBinding.from_record(json.loads(record))
        return self._default if name == DEFAULT_VAULT else None

    def vaults(self) -> list[VaultBinding]:
        names = sorted({DEFAULT_VAULT, *self._tables.vault_records})
        return [binding for name in names if (binding := self.find_vault(name)) is not None]

    def create_vault(self, binding: VaultBinding, registry_revision: int) -> None:
        there = self.find_vault(binding.name)
        if there == binding:
            return
        if there is not None:
            raise NameTaken(f"There is a vault {binding.name} already.", field="name")
        self._tables.take_place(registry_revision)
        self._put(binding)

    def replace_vault(self, binding: VaultBinding, revision: int) -> None:
        there = self.find_vault(binding.name)
        if there == binding:
            return
        if there is None or there.revision != revision:
            raise RuleBusy(f"The vault {binding.name} was changed by somebody else at the same moment.")
        self._put(binding)

    def remove_vault(self, name: str, revision: int, registry_revision: int) -> None:
        there = self.find_vault(name)
        if there is None:
            return
        if there.revision != revision:
            raise RuleBusy(f"The vault {name} was changed by somebody else at the same moment.")
        self._tables.take_place(registry_revision)
        self._tables.vault_records.pop(name, None)
        self._tables.probe_records.pop(name, None)

    def record_probe(self, name: str, report: ProbeReport) -> None:
        self._tables.probe_records[name] = json.dumps(report.as_record())

    def find_probe(self, name: str) -> ProbeReport | None:
        record = self._tables.probe_records.get(name)
        return ProbeReport.from_record(json.loads(record)) if record else None

    def probes(self) -> dict[str, ProbeReport]:
        found = {name: self.find_probe(name) for name in sorted(self._tables.probe_records)}
        return {name: report for name, report in found.items() if report is not None}

    def _put(self, binding: VaultBinding) -> None:
        self._tables.vault_records[binding.name] = json.dumps(binding.as_record())
