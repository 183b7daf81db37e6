"""Finds out what keeps rules from doing their work, and lets them go on by themselves when it is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import RdbkeeperError, VaultError
from rdbkeeper.domain.fleet.parts import Fleet
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.domain.source import LIVE_PROVIDER, NO_ACCESS, SourceAccess
from rdbkeeper.domain.status import (
    INSTANCE_BLOCKS,
    PROBED_BLOCKS,
    RETRIED_BLOCKS,
    VAULT_BLOCKS,
    Block,
    RuleStatus,
    block_for_missed_start,
    find_instance_block,
    find_vault_block,
    missed_fire,
)
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.ports import Record

_SETTLED = (RuleState.ACTIVE, RuleState.PAUSED)
# A run that is denied something fails: often enough to go on soon after it was granted, too rarely to bury the history.
HOURS_BETWEEN_RETRIES = 6
# Of the rules whose instances cannot be listed.
MOST_NAMED = 10


@dataclass(frozen=True)
class _Seen:
    """How instances are, by name, and what keeps rules from working with each vault that is bound.

    `instances` is None where a rule's runs alone can tell.
    """

    instances: Mapping[str, Instance] | None
    vaults: Mapping[str, Block | None]

    def find_block(self, rule: Rule) -> Block | None:
        """What keeps the rule from its work, or None; its instance is told before its vault."""
        if self.instances is not None:
            block = find_instance_block(rule, self.instances.get(rule.instance))
            if block is not None:
                return block
        if rule.vault not in self.vaults:
            return find_vault_block(rule.vault, is_bound=False, probe=None)
        return self.vaults[rule.vault]


@dataclass(frozen=True)
class RefreshBlocks:
    """Compares what is on record with how instances, vaults and runs are; `fleet` tells since when rules are timed."""

    work: FleetWork
    fleet: Fleet
    is_time_left: Callable[[], bool]

    def refresh(self, rules: Sequence[Rule], statuses: Mapping[str, RuleStatus]) -> list[RuleResult]:
        """Settle every rule for which something has changed; the instances are listed once for each provider."""
        results: list[RuleResult] = []
        vaults = self._read_vaults()
        settled = [rule for rule in rules if rule.state in _SETTLED]
        for reached in dict.fromkeys(map(_reached_by, settled)):
            rules_there = [rule for rule in settled if _reached_by(rule) == reached]
            try:
                seen = _Seen(self._read_instances(*reached), vaults)
            except RdbkeeperError as error:
                unread = _unread(error, *reached, [rule.name for rule in rules_there])
                self.work.journal.error("InstancesUnread", str(unread), reason=unread.code)
                results.append(RuleResult("", error=unread))
                continue
            results += [self._guard(rule, statuses.get(rule.name, RuleStatus()), seen) for rule in rules_there]
        return results

    def _read_instances(self, provider: str, access: SourceAccess) -> dict[str, Instance] | None:
        """A provider's instances by name; None of servers that are reached directly, which only their runs can see."""
        if provider == LIVE_PROVIDER:
            return None
        return {instance.name: instance for instance in self.work.adapters.source(provider, access).instances()}

    def _read_vaults(self) -> dict[str, Block | None]:
        """What keeps rules from working with each vault that is bound."""
        probes = self.work.vaults.probes()
        names = [binding.name for binding in self.work.vaults.vaults()]
        return {name: find_vault_block(name, is_bound=True, probe=probes.get(name)) for name in names}

    def _is_open(self, rule: Rule, status: RuleStatus, seen: _Seen) -> bool:
        """Whether there is anything to settle; told from what was read of all rules at once."""
        found, known = seen.find_block(rule), status.block
        if found is None:
            return known is not None or self._missed_fire(rule, status)
        return not found.has_same_cause(known)

    def _guard(self, rule: Rule, status: RuleStatus, seen: _Seen) -> RuleResult:
        """One rule's result, whatever it meets; nothing is begun when time is over."""

        def settle() -> RuleResult:
            if not self._is_open(rule, status, seen):
                return RuleResult(rule.name)
            if not self.is_time_left():
                return RuleResult(rule.name, left=True)
            return self._settle(rule.name, seen)

        return hold(self.work.journal, rule.name, f"Settling what blocks {rule.name}", "BlockUnsettled", settle)

    def _settle(self, rule_name: str, seen: _Seen) -> RuleResult:
        """Block a rule or let it go on, as it is now: a run or a person may have changed it since all were read."""
        rule, status = self.work.rules.find_rule(rule_name), self.work.rules.find_status(rule_name)
        known = status.block
        if rule is None or rule.state not in _SETTLED:
            return RuleResult(rule_name)
        found = seen.find_block(rule)
        if found is not None:
            if found.has_same_cause(known):
                return RuleResult(rule_name)
            return self._block(rule, replace(found, owes_run=known.owes_run if known else False))
        if known is None:
            return self._catch_up_missed_start(rule, status)
        # Of a server that is reached directly only a run can tell.
        if known.code in RETRIED_BLOCKS or (rule.is_live and known.code in INSTANCE_BLOCKS):
            return self._retry(rule, status, known)
        return self._unblock(rule, status, known) if self._is_over(rule, known) else RuleResult(rule_name)

    # ----------------------------------------------------------------- block

    def _block(self, rule: Rule, block: Block) -> RuleResult:
        self.work.rules.record_block(rule.name, block)
        journal = self.work.journal.bind(rule=rule.name)
        journal.warning("RuleBlocked", f"{block.message} Hint: {block.hint}", reason=block.code)
        return RuleResult(rule.name, reports=(repair_record(rule.name, rule.instance, "RuleBlocked", block.message),))

    def _missed_fire(self, rule: Rule, status: RuleStatus) -> bool:
        return missed_fire(rule, status, self.work.clock.now(), self.fleet.scheduled_since(rule.name))

    def _catch_up_missed_start(self, rule: Rule, status: RuleStatus) -> RuleResult:
        """Start the run that did not begin when it was due. The rule counts as blocked until one does begin."""
        if not self._missed_fire(rule, status):
            return RuleResult(rule.name)
        self._block(rule, block_for_missed_start(rule))
        return self._start(rule, status, "RunCaughtUp", "The run that did not begin when it was due is started.")

    def _is_over(self, rule: Rule, known: Block) -> bool:
        """Whether a block's cause is gone, as far as it can be told without a run."""
        if known.code in INSTANCE_BLOCKS | VAULT_BLOCKS:
            return True
        if known.code not in PROBED_BLOCKS:
            return False
        try:
            self.work.adapters.vault(rule.vault).catalog(rule.place.path)
        except VaultError:
            return False
        return True

    # --------------------------------------------------------------- unblock

    def _unblock(self, rule: Rule, status: RuleStatus, known: Block) -> RuleResult:
        """Let the rule go on, and start the run that was put off meanwhile."""
        told = repair_record(rule.name, rule.instance, "RuleUnblocked", f"What blocked it is gone: {known.code}.")
        started: tuple[Record, ...] = ()
        if _owes_run(rule, known):
            started = self._start(rule, status, "RunCaughtUp", "The run that was put off is started.").repairs
        self.work.rules.record_block(rule.name, None)
        self.work.journal.bind(rule=rule.name).warning(told["code"], told["reason"])
        return RuleResult(rule.name, repairs=(told, *started))

    def _retry(self, rule: Rule, status: RuleStatus, known: Block) -> RuleResult:
        """Start a run to find out whether it is let through by now; it clears the block itself."""
        now = self.work.clock.now()
        due = now.hour % HOURS_BETWEEN_RETRIES == 0
        if not (due and _owes_run(rule, known)):
            return RuleResult(rule.name)
        reason = f"A run is started to see whether {known.code} is over."
        return self._start(rule, status, "RunRetried", reason, hour=f"{now:%Y%m%dT%H}")

    def _start(self, rule: Rule, status: RuleStatus, code: str, reason: str, hour: str = "") -> RuleResult:
        # Named after the run before it: repeated, this starts no second one.
        last = status.last_run.run if status.last_run else ""
        wish = RunRequest(on_request=True, owed=True).as_record()
        self.work.services.start_run(rule.name, self.work.name_run(rule, f"owed after {last} {hour}"), wish)
        self.work.journal.bind(rule=rule.name).warning(code, reason)
        return RuleResult(rule.name, repairs=(repair_record(rule.name, rule.instance, code, reason),))


def _reached_by(rule: Rule) -> tuple[str, SourceAccess]:
    """By what the rule's instance is listed: rules that say the same share one listing."""
    return rule.provider, NO_ACCESS if rule.is_live else rule.access


def _unread(error: RdbkeeperError, provider: str, access: SourceAccess, names: Sequence[str]) -> RdbkeeperError:
    """The error of a listing, with whose instances were to be listed, where, and by which secret."""
    where = f"{provider}, {access.region}, the secret {access.secret}" if access.region else provider
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    whose = f"{', '.join(names[:MOST_NAMED])}{more}"
    return type(error)(f"The instances of the rules {whose} ({where}) are not known: {error.message}", hint=error.hint)


def _owes_run(rule: Rule, block: Block) -> bool:
    """Whether a run was put off that is to be caught up; one of a manual rule is started by hand alone."""
    return block.owes_run and rule.state is RuleState.ACTIVE and rule.cycle.kind != "manual"
