"""What is on record: rules and how they are, leases, runs, and what runs have begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rdbkeeper.domain.backup_first import Freeze, MadeBackup
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import Block, KeptCopies, RuleStatus, RunReport
from rdbkeeper.domain.vault import ProbeReport, VaultBinding
from rdbkeeper.ports.records import Record
from rdbkeeper.ports.stores import Upload

if TYPE_CHECKING:  # a rule's function loads every port, and none of what a fleet is made of
    from rdbkeeper.domain.fleet.parts import ScheduleSent


@dataclass(frozen=True)
class RulesPage:
    """Some of the rules, by name, with how each is; `next_after` is the name to go on from, "" at the end."""

    rules: tuple[tuple[Rule, RuleStatus], ...]
    next_after: str


@dataclass(frozen=True)
class RunsPage:
    """Some of a rule's runs, newest first; `next_before` is where to go on from, "" at the end."""

    runs: tuple[RunReport, ...]
    next_before: str


class RuleTable(Protocol):
    """The rules, how they are, and what was made for them."""

    def find_rule(self, name: str) -> Rule | None:
        """The rule of that name, read consistently, or None."""

    def rules(self) -> list[Rule]:
        """Every rule, read consistently, by name."""

    def rules_page(self, after: str, limit: int) -> RulesPage:
        """At most `limit` rules whose names come after `after`, with their statuses; two reads."""

    def registry_revision(self) -> int:
        """A number that grows whenever a rule takes a place; pass it to what takes one."""

    def create_rule(self, rule: Rule, registry_revision: int) -> None:
        """Add a rule if its name is free (NameTaken) and no place was taken since the revision (RuleBusy).

        What an earlier rule of that name left (its status, its deletion) is struck off with it.
        """

    def replace_rule(self, rule: Rule, revision: int, registry_revision: int | None = None) -> None:
        """Put `rule` in place of the one of its name at `revision`. RuleBusy when that is not what is there.

        With a registry revision the rule takes a new place: RuleBusy also when another place was taken since.
        """

    def remove_rule(self, name: str, revision: int, deletion: Record) -> None:
        """Remove a rule and all that is on record for it, and keep `deletion`, the answer to who deleted it.

        One that is gone is no error, and keeps the first deletion's record. One at another revision is another rule,
        made since under the same name, and stays with all that is its own.
        """

    def find_deletion(self, name: str) -> Record | None:
        """How the last rule of that name was deleted, for 30 days at least; None once there is such a rule again."""

    def deletions(self) -> list[str]:
        """The names of the rules whose deletion is on record."""

    def fleet_has_ended(self) -> bool:
        """True from when the stack began to go: what is left of it must make nothing any more."""

    def record_fleet_end(self, *, ended: bool) -> None:
        """Note that the stack goes, or that it is there after all."""

    def find_status(self, name: str) -> RuleStatus:
        """How a rule is; an empty status where nothing is on record."""

    def statuses(self) -> dict[str, RuleStatus]:
        """How all rules are, by name; those about which nothing is on record are left out."""

    def record_block(self, rule: str, block: Block | None) -> None:
        """Note what keeps a rule from doing its work, or that nothing does."""

    def sent_schedules(self) -> dict[str, dict[str, ScheduleSent]]:
        """What was last sent to Scheduler, by rule and schedule."""

    def find_sent_schedules(self, rule: str) -> dict[str, ScheduleSent]:
        """What was last sent to Scheduler for one rule, by schedule."""

    def record_sent_schedules(self, rule: str, sent: Mapping[str, ScheduleSent]) -> None:
        """Put down what was sent for a rule, in place of what was there."""


class RunTable(Protocol):
    """Leases, the reports of runs, the uploads that runs have open, and the legs that they have begun."""

    def find_lease_owner(self, rule: str) -> str | None:
        """The execution that holds the rule's lease, or None."""

    def take_lease(self, rule: str, owner: str, instead_of: str | None, now: datetime) -> bool:
        """Take the lease if it is free, already `owner`'s, or held by `instead_of`; False when it is another's."""

    def renew_lease(self, rule: str, owner: str, now: datetime) -> None:
        """Note that the owner is alive. Raises LeaseLost when the lease is no longer its own."""

    def free_lease(self, rule: str, owner: str) -> None:
        """Let go of the lease. One that is another's stays as it is."""

    def record_run(self, rule: str, report: RunReport, kept: KeptCopies | None = None) -> None:
        """Put down a run, in place of an earlier report of it: in the rule's history, and as its status's last run.

        `kept` goes into the status where it is given. History is kept for 400 days.
        """

    def history(self, rule: str, before: str, limit: int) -> RunsPage:
        """At most `limit` runs of a rule, newest first, from `before` on ("" for the newest)."""

    def remember_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        """Record uploads that are open, so that somebody can give them up when this run cannot."""

    def remembered_uploads(self, rule: str) -> list[Upload]:
        """The uploads on record."""

    def forget_uploads(self, rule: str, uploads: Sequence[Upload]) -> None:
        """Strike uploads off the record."""

    def count_attempt(self, rule: str, transfer: str, leg: int) -> int:
        """Note that a leg of a transfer begins; returns how often this leg of it has begun."""

    def forget_attempts(self, rule: str, transfer: str) -> None:
        """Strike a transfer's attempts off the record."""

    def forget_all_attempts(self, rule: str) -> None:
        """Strike off the attempts of all transfers of a rule, of which none is under way."""

    def record_freeze(self, rule: str, freeze: Freeze) -> None:
        """Note that writes are about to be frozen, before they are."""

    def find_freeze(self, rule: str) -> Freeze | None:
        """The freeze on record, which nobody has thawed yet, or None."""

    def freezes(self) -> dict[str, Freeze]:
        """All that are on record, by rule."""

    def forget_freeze(self, rule: str, execution: str) -> None:
        """Strike an execution's freeze off the record; another's stays."""

    def record_made_backup(self, rule: str, made: MadeBackup) -> None:
        """Put down a backup that was asked for, in place of what is on record under its name."""

    def made_backups(self, rule: str) -> list[MadeBackup]:
        """The backups that were asked for and are still at the provider, or count for their day; by name."""

    def forget_made_backup(self, rule: str, name: str) -> None:
        """Strike off a backup that is gone from the provider, or that nobody removes."""

    def record_check(self, rule: str, copy_id: str, checked_at: datetime) -> None:
        """Note that a copy was read again and found whole."""

    def checks(self, rule: str) -> dict[str, datetime]:
        """When each copy of a rule was last read again, by copy id; those never read are left out."""

    def forget_checks(self, rule: str, copy_ids: Sequence[str]) -> None:
        """Strike off the checks of copies that are gone."""


class VaultTable(Protocol):
    """The registered vaults, and what the last probe of each found. The default vault is always there."""

    def find_vault(self, name: str) -> VaultBinding | None:
        """The vault of that name, read consistently, or None."""

    def vaults(self) -> list[VaultBinding]:
        """Every vault, read consistently, by name."""

    def create_vault(self, binding: VaultBinding, registry_revision: int) -> None:
        """Add a vault if its name is free (NameTaken) and nothing was registered since the revision (RuleBusy).

        The revision is `RuleTable.registry_revision`'s: rules and vaults are registered one after the other.
        """

    def replace_vault(self, binding: VaultBinding, revision: int) -> None:
        """Put `binding` in place of the vault of its name at `revision`. RuleBusy when that is not what is there.

        The default vault is at revision 1 until it is first replaced.
        """

    def remove_vault(self, name: str, revision: int, registry_revision: int) -> None:
        """Remove a vault and its probe. RuleBusy when it was changed, or anything registered, since the revisions.

        One that is gone is no error.
        """

    def record_probe(self, name: str, report: ProbeReport) -> None:
        """Put down what a probe found, in place of what the last one did."""

    def find_probe(self, name: str) -> ProbeReport | None:
        """What the last probe of a vault found, or None."""

    def probes(self) -> dict[str, ProbeReport]:
        """What the last probe of each vault found, by name."""
