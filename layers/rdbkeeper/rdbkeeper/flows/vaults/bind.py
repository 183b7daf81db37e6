"""Binds, shows, edits, unbinds and probes vaults. Nothing of it touches a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rdbkeeper.domain.console_links import find_folder_link
from rdbkeeper.domain.errors import (
    BucketTaken,
    InvalidRequest,
    NameTaken,
    RevisionStale,
    RuleBusy,
    RuleNotReady,
    VaultInUse,
)
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.vault import DEFAULT_VAULT, ProbeReport, VaultBinding
from rdbkeeper.domain.vault_edit import VaultEdit, needs_probe
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.describe import describe_locks_of_rules
from rdbkeeper.flows.rules.register import PAUSES_S
from rdbkeeper.flows.vaults.bucket_mark import check_bucket_is_no_other
from rdbkeeper.flows.vaults.probes import look_at_vault, note_probe, report_findings
from rdbkeeper.ports import Record

_WITHOUT_A_BEGINNING = datetime.min.replace(tzinfo=UTC)  # the stack's own vault was never bound


@dataclass(frozen=True)
class KeepVaults:
    """What a person can do with vaults. Every method answers plain data, and raises RequestError for what cannot be."""

    context: RulesContext

    # ------------------------------------------------------------------ bind

    def bind(self, wanted: VaultBinding) -> Record:
        """Register a vault that a close probe has found fit; one that it has not is not registered, and says why.

        The same request again gives the same result.
        """
        context = self.context
        existing = context.vaults.find_vault(wanted.name)
        if existing is None:
            if context.fleet.rules.fleet_has_ended():
                raise RuleNotReady(
                    f"The stack {context.fleet.stack.stack} is being deleted.", hint="Deploy it again first."
                )
            self._check_bucket_is_free(wanted, context.vaults.vaults())
            findings = context.adapters.probe_vault(wanted, closely=True)
            check_bucket_is_no_other(context, wanted, findings)
            bound, is_ours = self._register(replace(wanted, region=wanted.region or findings.region))
            if is_ours:
                note_probe(context.fleet, bound.name, None, report_findings(context.fleet, findings))
                context.journal.info("VaultBound", f"The vault {bound.name} is bound.", vault=bound.name)
                return self.get(bound.name)
            existing = bound
        if context.vaults.find_probe(_take_up(existing, wanted).name) is None:
            self._probe(existing)
        return self.get(existing.name)

    def _register(self, wanted: VaultBinding) -> tuple[VaultBinding, bool]:
        """The vault's row, and whether this request put it. Raises NameTaken, BucketTaken."""
        context = self.context
        for pause_s in PAUSES_S:
            revision = context.rules.registry_revision()
            others = context.vaults.vaults()
            existing = next((other for other in others if other.name == wanted.name), None)
            if existing is not None:
                return _take_up(existing, wanted), False
            self._check_bucket_is_free(wanted, others)
            try:
                context.vaults.create_vault(wanted, revision)
            except (RuleBusy, NameTaken):
                context.pause(pause_s)
                continue
            return wanted, True
        raise RuleBusy("Others are registering rules or vaults at this moment.", hint="Send the request again.")

    def _check_bucket_is_free(self, wanted: VaultBinding, others: Sequence[VaultBinding]) -> None:
        if wanted.is_amazon and wanted.bucket == self.context.staging_bucket:
            raise BucketTaken(
                f"In the bucket {wanted.bucket} the provider's files are staged until they are copied.",
                field="bucket",
                hint="Choose another bucket: what is staged is removed, and would be taken for copies.",
            )
        taken = next((other for other in others if other.name != wanted.name and other.has_same_bucket(wanted)), None)
        if taken is not None:
            raise BucketTaken(
                f"The bucket {wanted.bucket} is the vault {taken.name} already.",
                field="bucket",
                hint=f"Point the rule at {taken.name}; a `prefix` keeps rules apart within a bucket.",
            )

    # ------------------------------------------------------------------ show

    def list(self) -> Record:
        """Every vault by name, with how it is and the rules that use it."""
        context = self.context
        rules, probes = context.rules.rules(), context.vaults.probes()
        vaults = context.vaults.vaults()
        return {"vaults": [_summarize(vault, probes.get(vault.name), _using(vault, rules)) for vault in vaults]}

    def get(self, name: str) -> Record:
        """One vault with all that is known of it."""
        context = self.context
        vault, probe, rules = context.get_vault(name), context.vaults.find_probe(name), context.rules.rules()
        notes = describe_locks_of_rules(vault, probe, rules)
        return {"vault": {**_describe(vault, probe, _using(vault, rules)), "notes": notes}}

    # ------------------------------------------------------------------ edit

    def update(self, name: str, revision: int, edit: VaultEdit) -> Record:
        """Edit a vault as the person read it at `revision`. Raises RevisionStale when it was changed since.

        Other credentials and options are put only when a close probe finds that the vault can be used with them. The
        same request again gives the same result.
        """
        context = self.context
        vault = context.get_vault(name)
        edited = edit.apply_to(vault)
        if edited is vault and vault.revision in (revision, revision + 1):
            return self.get(name)
        if vault.revision != revision:
            raise _stale(vault, revision)
        is_probed = needs_probe(vault, edited)
        findings = context.adapters.probe_vault(edited, closely=True) if is_probed else None
        try:
            context.vaults.replace_vault(edited, vault.revision)
        except RuleBusy:
            raise _stale(context.get_vault(name), revision) from None
        context.journal.info("VaultUpdated", f"The vault {name} is at revision {edited.revision}.", vault=name)
        if findings is not None:
            last = context.vaults.find_probe(name)
            note_probe(context.fleet, name, last, report_findings(context.fleet, findings, last))
        return self.get(name)

    def unbind(self, name: str) -> Record:
        """Let go of a vault that no rule uses. Its copies stay. Raises VaultInUse, naming the rules."""
        context = self.context
        if name == DEFAULT_VAULT:
            raise InvalidRequest(
                "The default vault is the stack's own and goes with it.",
                field="name",
                hint="Leave it be: where no rule uses it, nothing is kept in it.",
            )
        for pause_s in PAUSES_S:
            revision = context.rules.registry_revision()
            vault = context.get_vault(name)
            users = _using(vault, context.rules.rules())
            if users:
                raise VaultInUse(
                    f"The vault {name} is used by {', '.join(users[:20])}"
                    f"{f' and {len(users) - 20} more' if len(users) > 20 else ''}.",
                    field="name",
                    hint="Delete these rules or point them at another vault first; their copies stay.",
                )
            try:
                context.vaults.remove_vault(name, vault.revision, revision)
            except RuleBusy:
                context.pause(pause_s)
                continue
            context.journal.info("VaultUnbound", f"The vault {name} is let go of; its copies stay.", vault=name)
            return {"unbound": name, "copies_stay_at": {"bucket": vault.bucket, "endpoint": vault.endpoint}}
        raise RuleBusy("Others are registering rules or vaults at this moment.", hint="Send the request again.")

    # ----------------------------------------------------------------- probe

    def probe(self, name: str) -> Record:
        """Examine a vault closely now, and show it; one that cannot be used is shown as offline, with the reason.

        Rules that it blocks, or has blocked, follow with the next reconciling.
        """
        self._probe(self.context.get_vault(name))
        return self.get(name)

    def _probe(self, vault: VaultBinding) -> None:
        fleet = self.context.fleet
        last = fleet.vaults.find_probe(vault.name)
        note_probe(fleet, vault.name, last, look_at_vault(fleet, vault, last, closely=True))


def _take_up(existing: VaultBinding, wanted: VaultBinding) -> VaultBinding:
    """The vault that is there, when it is what is wanted. Raises NameTaken."""
    if existing.is_same_wish(wanted):
        return existing
    raise NameTaken(
        f"There is a vault {existing.name} already.",
        field="name",
        hint="Choose another name, or edit the vault with `update_vault`; its bucket cannot change.",
    )


def _stale(vault: VaultBinding, revision: int) -> RevisionStale:
    return RevisionStale(
        f"The vault {vault.name} is at revision {vault.revision} by now, and you read revision {revision}.",
        field="revision",
        hint="Look at it again with `vault`, and repeat the edit with the revision you see.",
    )


def _using(vault: VaultBinding, rules: Sequence[Rule]) -> Sequence[str]:
    return [rule.name for rule in rules if rule.vault == vault.name]


def _without_account(arn: str) -> str:
    """What an ARN names, such as `role/NAME`; the account's number in it is nobody's business in an answer."""
    return arn.split(":", 5)[-1]


def _show(probe: ProbeReport | None) -> Record:
    """How a vault is, in one word, and why."""
    if probe is None:
        hint = "It is probed every hour, and now by the action `probe_vault`."
        return {"state": "unknown", "reason": "It was not probed yet.", "hint": hint}
    if probe.problem is None:
        return {"state": "available", "reason": "", "hint": ""}
    reason = f"{probe.problem['code']}: {probe.problem['message']}"
    return {"state": "offline", "reason": reason, "hint": probe.problem["hint"]}


def _summarize(vault: VaultBinding, probe: ProbeReport | None, users: Sequence[str]) -> Record:
    return {
        "name": vault.name,
        "bucket": vault.bucket,
        "region": vault.region,
        "endpoint": vault.endpoint,
        "note": vault.note,
        **_show(probe),
        "probed_at": write_moment(probe.probed_at) if probe else None,
        "lock_days": vault.options.lock_days,
        "warnings": len(probe.warnings) if probe else 0,
        "rules": users,
    }


def _describe(vault: VaultBinding, probe: ProbeReport | None, users: Sequence[str]) -> Record:
    seen = probe.as_record() if probe else {}
    record = vault.as_record()
    return {
        **record,
        "role": _without_account(vault.role),
        "options": {**record["options"], "kms_key": _without_account(vault.options.kms_key)},
        "created_at": None if vault.created_at == _WITHOUT_A_BEGINNING else write_moment(vault.created_at),
        **_show(probe),
        "probed_at": seen.get("probed_at"),
        "examined_at": seen.get("examined_at"),
        "capabilities": seen.get("capabilities"),
        "warnings": seen.get("warnings", []),
        "rules": users,
        "console": find_folder_link(vault, ""),
    }
