"""What a request is answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from rdbkeeper.domain.errors import RdbkeeperError, RequestError
from rdbkeeper.entry.requests import (
    Command,
    CreateManyRules,
    CreateRule,
    DeleteRule,
    GetRule,
    ListBackups,
    ListInstances,
    ListRules,
    PauseRule,
    PreviewRule,
    PreviewWish,
    ResumeRule,
    RunRule,
    ShowHistory,
    UpdateRule,
)
from rdbkeeper.flows.browse import BrowseSources
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.register import RegisterRules
from rdbkeeper.flows.rules_context import RulesContext
from rdbkeeper.flows.show import ShowRules
from rdbkeeper.flows.start import StartRuns
from rdbkeeper.ports import Journal, Record


def answer(journal: Journal, serve: Callable[[], Record]) -> Record:
    """The result of `serve`, or `{"error": {code, message, hint, field}}`; a defect is told like any other error."""
    try:
        return serve()
    except RdbkeeperError as error:
        write = journal.info if isinstance(error, RequestError) else journal.error
        write("RequestRefused", str(error), reason=error.code)
        return {"error": error.as_answer()}
    except Exception as error:  # noqa: BLE001 - whoever asked is told by a code and a hint; the log has the rest
        return {"error": report_defect(journal, "Serving the request", error).as_answer()}


@dataclass(frozen=True)
class RuleActions:
    """Everything that a person can do with rules."""

    register: RegisterRules
    start: StartRuns
    show: ShowRules
    browse: BrowseSources

    @classmethod
    def over(cls, context: RulesContext) -> RuleActions:
        return cls(RegisterRules(context), StartRuns(context), ShowRules(context), BrowseSources(context))

    def serve(self, command: Command, seconds_left: Callable[[], float]) -> Record:
        """Do what a command says."""
        match command:
            case CreateRule(rule):
                return self.register.create(rule)
            case CreateManyRules(wanted, wait_s):
                return self.register.create_many(wanted, wait_s, seconds_left)
            case UpdateRule(name, revision, edit):
                return self.register.update(name, revision, edit)
            case PauseRule(name):
                return self.register.pause(name)
            case ResumeRule(name, run_now, request_id):
                resumed = self.register.resume(name)
                return {**resumed, **self.start.run_unless_going(name, request_id)} if run_now else resumed
            case DeleteRule(name):
                return self.register.delete(name)
            case RunRule(name, request_id):
                return self.start.run(name, request_id)
            case _:
                return self._look(command)

    def _look(
        self, command: GetRule | ListRules | PreviewRule | PreviewWish | ShowHistory | ListInstances | ListBackups
    ) -> Record:
        match command:
            case GetRule(name):
                return self.show.get(name)
            case ListRules(after, limit):
                return self.show.list(after, limit)
            case PreviewRule(name):
                return self.show.preview(name)
            case PreviewWish(rule):
                return self.show.preview_wish(rule)
            case ShowHistory(name, before, limit):
                return self.show.history(name, before, limit)
            case ListInstances(provider):
                return self.browse.instances(provider)
            case ListBackups(provider, instance):
                return self.browse.backups(provider, instance)
            case _:
                assert_never(command)
