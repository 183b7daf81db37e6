"""Finds out what keeps rules from doing their work, and lets them go on by themselves when it is gone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import RdbkeeperError, VaultError
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.domain.status import INSTANCE_BLOCKS, PROBED_BLOCKS, Block, RuleStatus, RunReport, find_instance_block
from rdbkeeper.flows.fleet import FleetWork
from rdbkeeper.flows.repairs import RuleResult, tell

_SETTLED = (RuleState.ACTIVE, RuleState.PAUSED)


def refresh_blocks(work: FleetWork, rules: Sequence[Rule], statuses: Mapping[str, RuleStatus]) -> list[RuleResult]:
    """Compare each rule's block with how its instance is now; the instances are listed once for each provider."""
    results: list[RuleResult] = []
    settled = [rule for rule in rules if rule.state in _SETTLED]
    for provider in sorted({rule.provider for rule in settled}):
        try:
            instances = {instance.name: instance for instance in work.adapters.source(provider).instances()}
        except RdbkeeperError as error:
            work.journal.error("InstancesUnread", str(error), reason=error.code)
            results.append(RuleResult(f"every rule of {provider}", error=error))
            continue
        for rule in settled:
            if rule.provider == provider:
                results += _refresh(work, rule, statuses.get(rule.name, RuleStatus()).block, instances)
    return results


def _refresh(work: FleetWork, rule: Rule, known: Block | None, instances: Mapping[str, Instance]) -> list[RuleResult]:
    found = find_instance_block(rule, instances.get(rule.instance))
    if (found.code if found else None) == (known.code if known else None):
        return []
    try:
        return _settle(work, rule.name, instances)
    except RdbkeeperError as error:
        work.journal.bind(rule=rule.name).error("BlockUnsettled", str(error), reason=error.code)
        return [RuleResult(rule.name, error=error)]


def _settle(work: FleetWork, rule_name: str, instances: Mapping[str, Instance]) -> list[RuleResult]:
    """Block a rule or let it go on, as it is now: a run or a person may have changed it since all rules were read."""
    rule, status = work.rules.find_rule(rule_name), work.rules.find_status(rule_name)
    known = status.block
    if rule is None or rule.state not in _SETTLED:
        return []
    found = find_instance_block(rule, instances.get(rule.instance))
    if found is not None and (known is None or known.code != found.code):
        return [_block(work, rule, replace(found, owes_run=known.owes_run if known else False))]
    if found is None and known is not None and _is_over(work, rule, known):
        return [_unblock(work, rule, known, status.last_run)]
    return []


def _is_over(work: FleetWork, rule: Rule, known: Block) -> bool:
    """Whether a block's cause is gone. A missing permission is the run's own, so only a run can tell."""
    if known.code in INSTANCE_BLOCKS:
        return True
    if known.code not in PROBED_BLOCKS:
        return False
    try:
        work.adapters.vault(rule.vault).catalog(rule.place.path)
    except VaultError:
        return False
    return True


def _block(work: FleetWork, rule: Rule, block: Block) -> RuleResult:
    work.rules.record_block(rule.name, block)
    work.journal.bind(rule=rule.name).warning("RuleBlocked", f"{block.message} Hint: {block.hint}", reason=block.code)
    return RuleResult(rule.name, reports=(tell(rule.name, rule.instance, "RuleBlocked", block.message),))


def _unblock(work: FleetWork, rule: Rule, known: Block, last_run: RunReport | None) -> RuleResult:
    """Let the rule go on, and start the run that was put off meanwhile."""
    told = [tell(rule.name, rule.instance, "RuleUnblocked", f"What blocked it is gone: {known.code}.")]
    if known.owes_run and rule.state is RuleState.ACTIVE:
        # Named after the run that was put off: repeated, this starts no second one, and another time another.
        put_off = last_run.run if last_run else work.clock.now().isoformat()
        owed = hashlib.sha256(put_off.encode()).hexdigest()[:16]
        work.services.start_run(rule.name, f"{rule.name}-owed-{owed}")
        told.append(tell(rule.name, rule.instance, "RunCaughtUp", "The run that was put off is started."))
    work.rules.record_block(rule.name, None)
    for record in told:
        work.journal.bind(rule=rule.name).warning(record["code"], record["reason"])
    return RuleResult(rule.name, repairs=tuple(told))
