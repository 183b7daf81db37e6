"""What a request is answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from rdbkeeper.domain.errors import RdbkeeperError, RequestError
from rdbkeeper.entry.copy_requests import (
    AuditCopies,
    Copies,
    CopyCommand,
    DeleteCopy,
    HoldCopy,
    ReleaseCopy,
    ShowCopy,
)
from rdbkeeper.entry.request_fields import about_rule, name_in_request
from rdbkeeper.entry.requests import Command
from rdbkeeper.entry.rule_requests import (
    BackUpNow,
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
    RuleCommand,
    RunRule,
    ShowHistory,
    UpdateRule,
)
from rdbkeeper.entry.vault_requests import (
    BindVault,
    GetVault,
    ListVaults,
    ProbeVault,
    UnbindVault,
    UpdateVault,
    VaultCommand,
)
from rdbkeeper.flows.copies.marks import MarkCopies
from rdbkeeper.flows.copies.show import ShowCopies
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.rules.browse import BrowseSources
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.flows.rules.register import RegisterRules
from rdbkeeper.flows.rules.show import ShowRules
from rdbkeeper.flows.rules.start import StartRuns
from rdbkeeper.flows.vaults.bind import KeepVaults
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


def _name_fields(created: Record) -> Record:
    """An answer about many rules, in which errors name fields as they stand in the request."""
    for error in (result["error"] for result in created["results"] if "error" in result):
        error["field"] = name_in_request(error["field"])
    return created


@dataclass(frozen=True)
class RuleActions:
    """Everything that a person can do with rules, vaults and copies."""

    register: RegisterRules
    start: StartRuns
    show: ShowRules
    browse: BrowseSources
    copies: ShowCopies
    marks: MarkCopies
    vaults: KeepVaults

    @classmethod
    def over(cls, context: RulesContext) -> RuleActions:
        return cls(
            RegisterRules(context),
            StartRuns(context),
            ShowRules(context),
            BrowseSources(context),
            ShowCopies(context),
            MarkCopies(context),
            KeepVaults(context),
        )

    def serve(self, command: Command, seconds_left: Callable[[], float]) -> Record:
        """Do what a command says."""
        if isinstance(command, VaultCommand):
            return self._keep_vaults(command)
        if isinstance(command, CopyCommand):
            return self._keep_copies(command)
        return self._manage_rules(command, seconds_left)

    def _manage_rules(self, command: RuleCommand, seconds_left: Callable[[], float]) -> Record:
        match command:
            case CreateRule(rule, take_over):
                with about_rule():
                    return self.register.create(rule, take_over=take_over)
            case CreateManyRules(wanted, wait_s, take_over):
                return _name_fields(self.register.create_many(wanted, wait_s, seconds_left, take_over=take_over))
            case UpdateRule(name, revision, edit, take_over):
                with about_rule("name", "revision"):
                    return self.register.update(name, revision, edit, take_over=take_over)
            case PauseRule(name):
                return self.register.pause(name)
            case ResumeRule(name, run_now, request_id):
                resumed = self.register.resume(name)
                return {**resumed, **self.start.run_unless_going(name, request_id)} if run_now else resumed
            case DeleteRule(name):
                return self.register.delete(name)
            case RunRule() | BackUpNow():
                return self._start_run(command)
            case _:
                return self._look(command)

    def _start_run(self, command: RunRule | BackUpNow) -> Record:
        start = self.start.back_up if isinstance(command, BackUpNow) else self.start.run
        return start(command.name, command.request_id)

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
                with about_rule():
                    return self.show.preview_wish(rule)
            case ShowHistory(name, before, limit):
                return self.show.history(name, before, limit)
            case ListInstances(provider, access):
                return self.browse.instances(provider, access)
            case ListBackups(provider, instance, access):
                return self.browse.backups(provider, instance, access)
            case _:
                assert_never(command)

    def _keep_copies(self, command: CopyCommand) -> Record:
        match command:
            case Copies(where, which, after, limit):
                return self.copies.list(where, which, after, limit)
            case ShowCopy(where, copy_id):
                return self.copies.get(where, copy_id)
            case HoldCopy(where, copy_id, note):
                return self.marks.hold(where, copy_id, note)
            case ReleaseCopy(where, copy_id):
                return self.marks.release(where, copy_id)
            case DeleteCopy(where, copy_id, confirm, note):
                return self.marks.delete(where, copy_id, confirm, note)
            case AuditCopies(rule, request_id, most_gigabytes):
                return self.start.audit(rule, request_id, most_gigabytes)
            case _:
                assert_never(command)

    def _keep_vaults(self, command: VaultCommand) -> Record:
        match command:
            case BindVault(wanted):
                return self.vaults.bind(wanted)
            case ListVaults():
                return self.vaults.list()
            case GetVault(name):
                return self.vaults.get(name)
            case UpdateVault(name, revision, edit):
                return self.vaults.update(name, revision, edit)
            case UnbindVault(name):
                return self.vaults.unbind(name)
            case ProbeVault(name):
                return self.vaults.probe(name)
            case _:
                assert_never(command)
