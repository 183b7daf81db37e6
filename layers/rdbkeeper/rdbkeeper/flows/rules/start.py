"""Starts runs by hand."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.errors import RdbkeeperError, RunIsGoing
from rdbkeeper.domain.run_request import RunRequest
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.runs.context import run_id_of
from rdbkeeper.ports import Record


@dataclass(frozen=True)
class StartRuns:
    """Starts a run of a rule now."""

    context: RulesContext

    def run(self, name: str, request_id: str = "") -> Record:
        """Start a run now, also of a paused rule. Raises RunIsGoing while one is going.

        With a `request_id` the same request again answers with the same run.
        """
        return self._start(name, request_id or self.context.clock.now().isoformat(), RunRequest(on_request=True))

    def back_up(self, name: str, request_id: str = "") -> Record:
        """Start a run that asks for a backup first, whatever the rule says. As `run` otherwise."""
        wish = f"backup {request_id or self.context.clock.now().isoformat()}"
        return self._start(name, wish, RunRequest(on_request=True, backs_up=True))

    def audit(self, name: str, request_id: str = "", most_gigabytes: int | None = None) -> Record:
        """Start a run that reads copies again, the longest unread first, and copies nothing. As `run` otherwise.

        It reads at most `most_gigabytes` (10^9 bytes) of them, or as much as is usual.
        """
        wish = f"audit {most_gigabytes} {request_id or self.context.clock.now().isoformat()}"
        request = RunRequest(on_request=True, audits=True, most_gigabytes=most_gigabytes or 0)
        return self._start(name, wish, request)

    def _start(self, name: str, wish: str, request: RunRequest) -> Record:
        context = self.context
        rule = context.get_settled_rule(name)
        services = context.fleet.services
        run_name = context.fleet.name_run(rule, wish)
        context.fleet.follow(name)  # what somebody removed by hand, its alias for one, would let it fail
        going = services.find_going_run(name)
        if going is not None and _run_name(going) != run_name:
            is_to_be_had = "No backup was asked for; send it again when that run has ended"
            what_comes = is_to_be_had if request.backs_up else "It copies whatever is there to copy"
            raise RunIsGoing(
                f"A run of the rule {name} is going: {run_id_of(going)}.",
                field="name",
                hint=f"{what_comes}; `history` shows it.",
            )
        # A run's name stands for its words: an ordinary one is started with the same as ever.
        is_ordinary = not (request.audits or request.backs_up)
        execution = services.start_run(name, run_name, None if is_ordinary else request.as_record())
        what = "An audit" if request.audits else "A run with a backup of its own" if request.backs_up else "A run"
        context.journal.bind(rule=name).info("RunRequested", f"{what} of {name} was started by hand.")
        return {"rule": name, "run": run_id_of(execution), "log_group": context.fleet.stack.log_group(rule.name)}

    def run_unless_going(self, name: str, request_id: str) -> Record:
        """The run that is started, or why none is: for a request that has done its part already."""
        try:
            return {"run": self.run(name, request_id), "not_run": None}
        except RdbkeeperError as error:
            return {"run": None, "not_run": error.as_record()}


def _run_name(execution: str) -> str:
    """The name under which an execution was started: `…/durable-execution/NAME/ID`."""
    return execution.split("/")[-2]
