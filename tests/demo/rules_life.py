"""What a person does with rules after the first nights: edits, pauses, resumes, breaks and deletes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.demo.screen import Screen
from tests.demo.world import STACK, World
from tests.local_cloud.server import ScheduleDisabledError

EDITED = "orders-nightly"
BROKEN = "sessions-weekly"


@dataclass(frozen=True)
class RulesLife:
    """Goes through it step by step; `expect` notes what did not hold."""

    world: World
    screen: Screen
    expect: Callable[[bool, str], None]

    def run(self) -> None:
        self._edit()
        self._pause_and_resume()
        self._break_and_heal()
        self._delete()

    def _edit(self) -> None:
        with self.screen.step(f"Editing {EDITED}: events/update_rule.json"):
            before = self.world.send("get_rule")["rule"]
            rule = self.world.send("update_rule", revision=before["revision"])["rule"]
            self.screen.line(f"revision  {before['revision']} -> {rule['revision']}")
            self.screen.line(f"schedule  {before['sent_to_scheduler'][0]} -> {rule['sent_to_scheduler'][0]}")
            self.expect(rule["sent_to_scheduler"] == ["cron(0 4 * * ? *)"], "the schedule did not follow the edit")
            stale = self.world.ask("update_rule", revision=before["revision"] - 1)["error"]
            self.screen.line(f"a second person with an older copy of it is told {stale['code']}")
            self.expect(stale["code"] == "RevisionStale", "a stale edit was not refused")

    def _pause_and_resume(self) -> None:
        with self.screen.step(f"Pausing {EDITED}, and resuming it with a run at once"):
            paused = self.world.send("pause_rule")["rule"]
            try:
                self.world.fire(EDITED)
                self.expect(False, "the timer of a paused rule fired")
            except ScheduleDisabledError as error:
                self.screen.line(f"{paused['state']}: {error}")
            resumed = self.world.send("resume_rule")
            run = resumed["run"]["run"]
            self.screen.line(f"{resumed['rule']['state']}: run {run} was started at once")
            ended = self.world.wait_for_run(EDITED, run)
            self.screen.line(f"history   {ended['line']}")
            self.expect(ended["state"] == "succeeded", "the run that was started by hand did not succeed")

    def _break_and_heal(self) -> None:
        function = f"{STACK}-rule-{BROKEN}"
        with self.screen.step(f"Deleting the function {function} behind its back, and reconciling"):
            self.world.cloud.client("lambda").delete_function(FunctionName=function)
            healed = self.world.reconcile()
            for repair in healed["repairs"]:
                self.screen.line(f"{repair['code']:<18}{repair['reason']}")
            codes = {repair["code"] for repair in healed["repairs"] if repair["rule"] == BROKEN}
            self.expect("FunctionMade" in codes, "the deleted function was not made again")
            again = self.world.reconcile()
            self.screen.line(f"and again: {again['line']}")
            self.expect(not again["repairs"], "a second look found something to repair")
            status = self.world.fire(BROKEN)
            self.screen.line(f"its timer fires: the run {status}")
            self.expect(status == "SUCCEEDED", "the healed function does not run")

    def _delete(self) -> None:
        with self.screen.step(f"Deleting {EDITED}: events/delete_rule.json"):
            before = self._copies()
            deleted = self.world.send("delete_rule")
            place = deleted["copies_stay_at"]["path"]
            left = [name for name in self.world.function_names() if name == f"{STACK}-rule-{EDITED}"]
            self.expect(not left and self.world.schedule_names() == [BROKEN], "something of the deleted rule is left")
            self.expect(self._copies() == before, "a copy went with its rule")
            here = sum(key.startswith(place) for key in before)
            self.screen.line(f"its function and schedule are gone; its {here} objects stay at {place}")

    def _copies(self) -> list[str]:
        """Every object of the default vault but the claims, which rules take with them."""
        return [key for key in self.world.vault_objects() if not key.endswith("/claim.json")]
