"""One run of a rule: scan, export, copy, verify, publish, report.

This is the order of the steps and nothing else. It is replayed after a crash, so between the steps it only computes
from their results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from rdbkeeper.domain.errors import LeaseLost, RdbkeeperError, RuleGone, RunFailed, from_record
from rdbkeeper.domain.outcome import Outcome
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.transfer import Transfer
from rdbkeeper.flows.publish import find_rejected
from rdbkeeper.flows.run_steps import RunSteps, Ticket, parse_time
from rdbkeeper.ports import Engine, Poll, Record

# A leg leaves this much of its invocation for what is still in flight when its time is over: a part of a very large
# file (44 MiB for 420 GiB) over a slow connection, and its retries.
LEG_RESERVE_S = 120.0
SHORTEST_LEG_S = 5.0


def run_rule(engine: Engine, steps: RunSteps, poll: Poll) -> Record:
    """Copy every backup of the rule's instance that the vault lacks; returns the run's report.

    Raises RunFailed at the end when any backup failed, and the error itself when the run could not be made at all.
    """
    try:
        scan = engine.step("scan", steps.scan)
        if "refused" in scan:
            return scan
        rule = Rule.from_record(scan["rule"])
        outcomes = [Outcome.from_record(record) for record in scan["decided"]]
        outcomes += _Run(engine, steps, poll, rule).copy_all([Ticket(*values) for values in scan["to_copy"]])
        report = engine.step("report", lambda: steps.finish(rule, outcomes))
    except RuleGone as gone:
        return {"refused": gone.code, "message": gone.message}
    except RdbkeeperError as error:
        failure = error
        engine.step("report failure", lambda: steps.report_failure(failure))
        raise
    if report["failed"]:
        raise RunFailed(report["line"], hint="The log lines of this run tell the reason for each failed backup.")
    return report


@dataclass(frozen=True)
class _Run:
    engine: Engine
    steps: RunSteps
    poll: Poll
    rule: Rule

    def copy_all(self, tickets: list[Ticket]) -> list[Outcome]:
        """Ask for all exports, then copy each as it becomes readable, the oldest of those first."""
        outcomes: list[Outcome] = []
        asked: dict[Ticket, datetime] = {}
        for ticket in tickets:
            try:
                record = self.engine.step(
                    f"request export of {ticket.copy_id}",
                    partial(self.steps.request_export, self.rule, ticket),
                )
                asked[ticket] = parse_time(record["asked_at"])
            except RdbkeeperError as error:
                outcomes.append(self._give_up(ticket, None, error))
        while asked:
            settled = self._wait_for_exports(asked)
            for ticket in [ticket for ticket in asked if ticket.copy_id in settled]:
                del asked[ticket]
                outcomes.append(self._copy(ticket, settled[ticket.copy_id]))
        return outcomes

    def _wait_for_exports(self, asked: Mapping[Ticket, datetime]) -> dict[str, RdbkeeperError | None]:
        """The copy ids whose files can be read (None) or will never be (why); at least one."""
        waiting = tuple(asked.items())
        record = self.engine.wait_until(
            f"wait for {len(waiting)} exports",
            lambda: self.steps.find_settled_exports(self.rule, waiting),
            self.poll,
        )
        ready: dict[str, RdbkeeperError | None] = dict.fromkeys(record["ready"])
        return ready | {copy_id: from_record(error) for copy_id, error in record["failed"].items()}

    def _copy(self, ticket: Ticket, export_error: RdbkeeperError | None) -> Outcome:
        """One backup's way from staged files to a published copy; a failure becomes its outcome."""
        transfer: Transfer | None = None
        try:
            if export_error is not None:
                raise export_error
            plan = self.engine.step(
                f"open transfer of {ticket.copy_id}", lambda: self.steps.open_transfer(self.rule, ticket)
            )
            transfer = Transfer.from_plan_record(plan)
            transfer, seconds = self._copy_legs(ticket, transfer)
            if find_rejected(transfer):
                transfer = self._replace_fragments(ticket, transfer)
                transfer, more_seconds = self._copy_legs(ticket, transfer)
                seconds += more_seconds
            whole = transfer
            record = self.engine.step(
                f"publish {ticket.copy_id}", lambda: self.steps.publish(self.rule, ticket, whole, seconds)
            )
            outcome = Outcome.from_record(record)
        except RdbkeeperError as error:
            outcome = self._give_up(ticket, transfer, error)
        self.engine.step(f"discard export of {ticket.copy_id}", lambda: self.steps.discard_export(self.rule, ticket))
        return outcome

    def _copy_legs(self, ticket: Ticket, transfer: Transfer) -> tuple[Transfer, float]:
        seconds = 0.0
        while not transfer.is_done:
            parts_done = sum(len(file.receipts) for file in transfer.files)
            name = f"{ticket.copy_id} from part {parts_done + 1}"
            if parts_done:
                self.engine.renew_invocation(f"renew before {name}")
            leg = self.engine.step(f"copy {name}", partial(self._copy_leg, ticket, transfer))
            transfer = transfer.advance(leg["progress"])
            seconds += leg["seconds"]
        return transfer, seconds

    def _copy_leg(self, ticket: Ticket, transfer: Transfer) -> Record:
        budget_s = max(SHORTEST_LEG_S, self.engine.seconds_left() - LEG_RESERVE_S)
        return self.steps.copy_leg(self.rule, ticket, transfer, budget_s)

    def _replace_fragments(self, ticket: Ticket, transfer: Transfer) -> Transfer:
        uploads = self.engine.step(
            f"replace fragments of {ticket.copy_id}",
            lambda: self.steps.replace_fragments(self.rule, ticket, transfer),
        )
        return transfer.start_over(uploads)

    def _give_up(self, ticket: Ticket, transfer: Transfer | None, error: RdbkeeperError) -> Outcome:
        if isinstance(error, LeaseLost | RuleGone):
            raise error
        record = self.engine.step(
            f"give up {ticket.copy_id}", lambda: self.steps.give_up(self.rule, ticket, transfer, error)
        )
        return Outcome.from_record(record)
