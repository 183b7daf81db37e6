"""Finds out whether vaults can be used, and what their stores honour; puts it on record, and tells what has changed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.vault import CLOSE_PROBE_S, LIGHT_PROBE_S, ProbeReport, VaultBinding
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.fleet.repairs import RuleResult, hold, repair_record
from rdbkeeper.flows.fleet.work import FleetWork
from rdbkeeper.ports import ProbeFindings, Record

EXAMINED_EVERY = timedelta(hours=24)
# Vaults that are probed side by side: probing is waiting for stores, and one may not answer for a long time.
AT_ONCE = 4
LONGEST_LOOK_S = LIGHT_PROBE_S + CLOSE_PROBE_S  # a light one may show that a close one is wanted


@dataclass(frozen=True)
class ProbedVault:
    """What became of probing one vault; it `is_due` for a look at its places when it was seen closely, or is back."""

    name: str
    result: RuleResult
    is_due: bool = False


@dataclass(frozen=True)
class ProbeVaults:
    """Probes vaults one by one, each for itself: a bad one keeps no other from being probed.

    `seconds_left` is until when the last of them must be done; none is begun that might not be.
    """

    work: FleetWork
    seconds_left: Callable[[], float]

    def probe_all(self, *, closely: bool = False) -> list[ProbedVault]:
        """Probe every vault that is bound; closely those that were not for a day, or all."""
        probes = self.work.vaults.probes()

        def probe(binding: VaultBinding) -> ProbedVault:
            return self._probe(binding, probes.get(binding.name), closely=closely)

        with ThreadPoolExecutor(AT_ONCE) as workers:
            return list(workers.map(probe, self.work.vaults.vaults()))

    def _probe(self, binding: VaultBinding, last: ProbeReport | None, *, closely: bool) -> ProbedVault:
        name = f"vault {binding.name}"
        if self.seconds_left() < LONGEST_LOOK_S:
            return ProbedVault(binding.name, RuleResult(name, left=True))
        wanted = closely or _needs_examination(last, self.work)
        due = False

        def work_on() -> RuleResult:
            nonlocal due
            report = look_at_vault(self.work, binding, last, closely=wanted)
            told = note_probe(self.work, binding.name, last, report)
            due = report.is_available and (wanted or last is None or not last.is_available)
            if told is None:
                return RuleResult(name)
            return RuleResult(name, repairs=(told,)) if report.is_available else RuleResult(name, reports=(told,))

        result = hold(self.work.journal, "-", f"Probing the vault {binding.name}", "VaultUnprobed", work_on)
        return ProbedVault(binding.name, replace(result, rule=name), due)


def look_at_vault(work: FleetWork, binding: VaultBinding, last: ProbeReport | None, *, closely: bool) -> ProbeReport:
    """What a probe finds now; whatever it meets is the report's problem.

    A light one keeps what the last close one saw, and becomes a close one where the bucket locks otherwise by now.
    """
    before = last or ProbeReport(work.clock.now())
    try:
        findings = work.adapters.probe_vault(binding, closely=closely)
        if _locks_otherwise(findings, before):
            closely = True  # what locks ask for is tried there, and their warnings are told anew
            findings = work.adapters.probe_vault(binding, closely=closely)
    except RdbkeeperError as error:
        problem = error.as_record()
    except Exception as error:  # noqa: BLE001 - a defect that one vault brings out must not hide the others
        problem = report_defect(work.journal, f"Probing the vault {binding.name}", error).as_record()
    else:
        return report_findings(work, findings, before)
    problem.pop("field", None)
    # What only a close look can find must not be taken for gone by a light one.
    examined_at = None if closely else before.examined_at
    return replace(before, probed_at=work.clock.now(), problem=problem, examined_at=examined_at)


def report_findings(work: FleetWork, findings: ProbeFindings, before: ProbeReport | None = None) -> ProbeReport:
    """The report of a vault that can be used; what a light probe left open is as it was before."""
    now = work.clock.now()
    if findings.capabilities is not None:
        return ProbeReport(now, None, findings.capabilities, now, findings.warnings)
    return replace(before or ProbeReport(now), probed_at=now, problem=None)


def note_probe(work: FleetWork, name: str, last: ProbeReport | None, report: ProbeReport) -> Record | None:
    """Put a report on record; returns what is told of it, None where the vault is as it was."""
    work.vaults.record_probe(name, report)
    was_available = last is None or last.is_available
    if report.is_available == was_available:
        return None
    if report.problem is None:
        told = repair_record("", name, "VaultAvailable", f"The vault {name} can be used again.")
        work.journal.info(told["code"], told["reason"], vault=name)
    else:
        reason = f"The vault {name} cannot be used: {report.problem['message']}"
        told = repair_record("", name, "VaultOffline", reason)
        hint = report.problem["hint"]
        work.journal.error(told["code"], f"{reason} Hint: {hint}", vault=name, reason=report.problem["code"])
    return told


def _locks_otherwise(findings: ProbeFindings, before: ProbeReport) -> bool:
    if findings.lock_state is None or before.capabilities is None:
        return False
    return findings.lock_state != before.capabilities.lock_state


def _needs_examination(last: ProbeReport | None, work: FleetWork) -> bool:
    return last is None or last.examined_at is None or work.clock.now() - last.examined_at >= EXAMINED_EVERY
