"""What a sandbox does that helps a run with one large backup: one leg over the share that it is given."""

from __future__ import annotations

from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.shares import Share
from rdbkeeper.domain.transfer import Piece, Transfer
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.runs.context import RunContext, Ticket
from rdbkeeper.flows.runs.copy import CopySteps, leg_budget_s
from rdbkeeper.ports import Record


def write_share(rule: Rule, ticket: Ticket, execution: str, transfer: Transfer, share: Share, sandboxes: int) -> Record:
    """A share of a transfer as the request that a worker is sent."""
    return {
        "rule": rule.as_record(),
        "execution": execution,
        "ticket": ticket.as_record(),
        "plan": transfer.only(piece.file for piece in share).plan_record(),
        "pieces": [piece.as_record() for piece in share],
        "sandboxes": sandboxes,
    }


def do_share(context: RunContext, request: Record, seconds_left: float) -> Record:
    """Copy the share that `request` names, in the name of the run that sent it; answers what was moved.

    A failure is answered as `{"failed": error}`: an error that leaves a function would keep its text alone.
    """
    rule = Rule.from_record(request["rule"])
    ticket = Ticket(*request["ticket"])
    transfer = Transfer.from_plan_record(request["plan"], rule.place.path, ticket.copy_id)
    pieces = [Piece(*values) for values in request["pieces"]]
    try:
        return CopySteps(context).share(
            rule, ticket, transfer, pieces, request["sandboxes"], leg_budget_s(seconds_left)
        )
    except RdbkeeperError as error:
        context.log(ticket).warning(
            "ShareFailed", f"Its share of {ticket.backup_id} failed: {error}", reason=error.code
        )
        return {"failed": error.as_record()}
    except Exception as error:  # noqa: BLE001 - a defect must reach the run as what it is
        defect = report_defect(context.log(ticket), f"Copying a share of {ticket.backup_id}", error)
        return {"failed": defect.as_record()}
