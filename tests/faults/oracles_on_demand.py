"""What must always hold of backups that runs have made, of the writes that they freeze, and of what is read directly.

Nothing here uses what is under test: whether writes were frozen is known by the functions that froze them, what a
server gave by the server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.backup import Backup, BackupState, Consistency, EngineFacts
from rdbkeeper.domain.source import Way
from tests.fakes.rdb_files import rdb_file
from tests.faults.fault import LIVE_STREAM, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.execution import Execution
    from tests.faults.process import Process
    from tests.faults.world import TrueBackup, World

_file_of = cache(rdb_file)
SLACK_S = 1_500.0  # an invocation that stands still, and the attempts at a step
LOOK_S = 3_600.0
JUST_NOW = timedelta(minutes=10)
# Of thawing: what lasts, and what no port may raise.
_IN_THE_WAY = {Kind.OUTAGE, Kind.DENIED_ON, Kind.UNAVAILABLE_LONG, Kind.HOOKS_CHANGED, Kind.DEFECT}


class OraclesOnDemand:
    """Remembers what was asked for, frozen and read."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._asked_by: Counter[str] = Counter()  # by chain
        self._asked: dict[str, frozenset[int]] = {}  # by name: the freezes that held when the backup was asked for
        self._held: dict[str, frozenset[int]] = {}  # by backup id: those of them that held until it was complete
        self._requests = 0
        self._late: set[int] = set()  # freezes that came through after the hourly look had struck them off
        self._streams: dict[str, dict[str, bytes]] = {}  # by execution: what was read of each shard
        self._ways: dict[str, set[Way]] = {}
        self._looks: dict[str, Callable[[Process, tuple[Any, ...], Any], None]] = {
            "hooks.call": self._after_hook,
            "runs.record_freeze": self._after_record,
            "runs.forget_freeze": self._after_forgetting,
            "source.request_backup": self._after_asking,
            "source.find_requested_backup": self._after_looking,
            "source.remove_backup": self._after_removing,
            LIVE_STREAM: self._after_opening,
        }
        self.requested: dict[str, Backup] = {}  # by name: as they will be once they are complete
        self.removed: set[str] = set()

    def check(self, holds: bool, otherwise: str) -> None:
        self._world.oracles.check(holds, otherwise)

    def after_call(self, process: Process, label: str, given: tuple[Any, ...], answer: Any) -> None:
        look = self._looks.get(label)
        if look is not None:
            look(process, given, answer)

    # ------------------------------------------------------------ frozen writes

    def _after_hook(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        """What freezes is on record beforehand; only the hourly look may have struck it off since."""
        rule, instance = given[1]["rule"], given[1]["instance"]
        numbers = self._world.functions.numbers(instance)
        if numbers and rule not in self._world.tables.freeze_records:
            self._late |= numbers
            was_looked_at = self._world.counts["the hourly look"] > 0
            self.check(was_looked_at, f"writes to {instance} are frozen and it is not on record")

    def _after_record(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        """A freeze takes no other one's place on record, of which nobody would know any more."""
        freeze = given[1]
        alias = freeze.thaw.partition(":")[2]
        hidden = [held for held in self._world.functions.frozen if held != (freeze.instance, alias)]
        rules = {rule.instance: rule.name for rule in self._world.tables.rules.rules()}
        hidden = [held for held in hidden if rules.get(held[0], given[0]) == given[0]]
        self.check(not hidden, f"the freeze of {hidden} was struck off by another one and nobody thaws it")

    def _after_forgetting(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        rule = given[0]
        if rule not in self._world.tables.freeze_records:
            instances = {one.instance for one in self._world.tables.rules.rules() if one.name == rule}
            left = [held for held in self._world.functions.frozen if held[0] in instances]
            self.check(not left, f"the freeze of {left} was struck off and they are frozen")

    def check_answer(self, execution: Execution, answer: dict[str, Any]) -> None:
        """No run calls itself a success that leaves writes frozen; one that ended early has told it."""
        freeze = self._world.tables.runs.find_freeze(execution.rule)
        is_left = freeze is not None and freeze.execution == execution.arn
        self.check("refused" in answer or not is_left, "a run succeeded and leaves its freeze on record")

    def check_end(self, execution: Execution) -> None:
        """No run ends, however, with writes still frozen by it, unless something was in the way of thawing itself."""
        struck, functions = self._world.injector.struck, self._world.functions
        if functions.missing or any(call == "hooks.call" or fault.kind in _IN_THE_WAY for fault, call, _ in struck):
            return
        freeze = self._world.tables.runs.find_freeze(execution.rule)
        is_left = freeze is not None and freeze.execution == execution.arn and functions.numbers(freeze.instance)
        self.check(not is_left, "a run has ended and has not thawed what it froze")

    def after_look(self) -> None:
        """Whatever has no run any more that would thaw it, or has had its time, is thawed."""
        now = self._world.clock.now()
        leases = self._world.tables.leases
        if self._world.functions.missing:
            return
        for rule, freeze in self._world.tables.runs.freezes().items():
            in_time = (freeze.until > now and leases.get(rule) == freeze.execution) or freeze.may_come_late(now)
            self.check(in_time, f"the hourly look left writes of {rule} frozen")

    def check_settled(self) -> None:
        """Nothing is frozen any more, and nothing was for longer than its rule allows."""
        functions = self._world.functions
        self.check(not functions.frozen, f"writes are left frozen: {sorted(functions.frozen)}")
        self.check(not self._world.tables.freeze_records, "a freeze is left on record")
        firsts = [rule.backup_first for rule in self._world.tables.rules.rules() if rule.backup_first is not None]
        has_failed = any(where == "hooks.call" for _, where, _ in self._world.injector.struck) or functions.missing
        if firsts and not has_failed:
            longest_s = max(first.longest_freeze_s for first in firsts) + LOOK_S + SLACK_S
            lasted_s = max((s for number, s in functions.lasted_s.items() if number not in self._late), default=0)
            self.check(lasted_s <= longest_s, f"writes were frozen for {lasted_s:.0f} s")

    # ---------------------------------------------------------- backups of ours

    def _after_asking(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        if len(self._world.the_source.requests) == self._requests:
            return
        chain = process.execution.request.chain or process.execution.arn.rsplit("/", 1)[-1]
        self._asked_by[chain] += 1
        self.check(self._asked_by[chain] == 1, "a run asked for a second backup")
        name = self.note_asked()
        made = {one.name for one in self._world.tables.runs.made_backups(process.execution.rule)}
        self.check(name in made, f"{name} was asked for and is not on record")

    def skip_requests(self) -> None:
        """What was asked for until now is somebody else's."""
        self._requests = len(self._world.the_source.requests)

    def note_asked(self) -> str:
        """Know what was asked for last; returns its name."""
        source = self._world.the_source
        self._requests = len(source.requests)
        instance, name, asked_at = source.requests[-1]
        self._asked[name] = self._world.functions.numbers(instance)
        listed = source.find_made(instance, name)
        assert listed is not None
        self.requested[name] = replace(listed, state=BackupState.COMPLETE, taken_at=asked_at.replace(microsecond=0))
        self._world.add_truth(self.requested[name], source._files[name])
        first, second = (f"000{number}" for number in (1, 2))
        number = 33 + 2 * self._requests  # the next backup holds other data
        source.data[instance] = {first: _file_of(70, number), second: _file_of(64, number + 1)}
        return name

    def is_new(self, name: str) -> bool:
        """True when a backup was asked for just now, so that a list may lack it still."""
        asked_at = [at for _, asked, at in self._world.the_source.requests if asked == name]
        return not asked_at or self._world.clock.now() - asked_at[-1] < JUST_NOW

    def _after_looking(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        name = given[1]
        if answer is None or answer.state is not BackupState.COMPLETE or name not in self._asked:
            return
        held = self._asked[name] & self._world.functions.numbers(given[0].name)
        self._held.setdefault(answer.backup_id, held)

    def _after_removing(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        """What is removed is ours, and has a verified copy or is none at all."""
        instance, name = given[0], given[1]
        if name in self.removed or self._world.the_source.find_made(instance.name, name) is not None:
            return
        self.removed.add(name)
        backup = self.requested.get(name)
        if backup is None:
            is_known = any(true.backup.backup_id == name for true in self._world.truth.values())
            self.check(not is_known, f"{name} was removed and is somebody else's")
            return
        is_copied = any(f"/{backup.copy_id}.verified." in key for key in self._world.oracles.at_rest.published)
        has_failed = name in self._world.the_source._not_made
        is_excused = self._world.oracles.at_rest.has_lost_copies
        self.check(is_copied or has_failed or is_excused, f"{name} was removed and has no verified copy")

    def check_made(self) -> None:
        """What was made, and copied whole, is at its provider no more."""
        if not self._world.the_source.forgets_made:
            return
        published = self._world.oracles.at_rest.published
        rules = {rule.instance: rule for rule in self._world.tables.rules.rules()}
        for name, backup in self.requested.items():
            rule = rules.get(backup.instance)
            if rule is None or not self._world.runs_by_itself(rule):
                continue
            is_there = self._world.the_source.find_made(backup.instance, name) is not None
            is_copied = any(
                key.startswith(rule.place.path) and f"/{backup.copy_id}.verified." in key for key in published
            )
            self.check(not (is_there and is_copied), f"{name} has a verified copy and is still at its provider")
            on_record = [one for one in self._world.tables.runs.made_backups(rule.name) if one.name == name]
            is_told_gone = all(one.is_removed for one in on_record)  # it counts for the day's quota all the same
            self.check(not is_copied or is_told_gone, f"{name} is gone and on record as one that is not")

    # ------------------------------------------------------------ read directly

    def _after_opening(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        arn, (shard, data) = process.execution.arn, self._world.server.files[-1]
        read = self._streams.setdefault(arn, {})
        self.check(shard not in read, f"{shard} was read a second time in one attempt")
        read[shard] = data
        self._ways.setdefault(arn, set()).add(given[0].way)

    def find_read(self, process: Process, manifest: dict[str, Any]) -> TrueBackup | None:
        """What a manifest of a server must be true to: the one stream that its run had of each shard."""
        read = self._streams.get(process.execution.arn)
        if manifest["source"]["provider"] != "redis" or read is None:
            return None
        backup = Backup(
            "redis",
            manifest["source"]["instance"],
            manifest["source"]["backup_id"],
            BackupState.COMPLETE,
            automatic=False,
            taken_at=datetime.fromisoformat(manifest["source"]["taken_at"]),
            shards=(),
            engine=EngineFacts(),
        )
        return self._world.add_truth(backup, read)

    # --------------------------------------------------------------- consistency

    def check_consistency(self, process: Process, key: str, manifest: dict[str, Any]) -> None:
        """A manifest says no better than what happened, and why, where it is not as with every backup."""
        said, reason = Consistency(manifest["consistency"]), manifest["consistency_reason"]
        ways = self._ways.get(process.execution.arn, set())
        if manifest["source"]["provider"] == "redis":
            is_right = said is (Consistency.LOGICAL if Way.LOGICAL in ways else Consistency.POINT_IN_TIME)
            self.check(is_right and bool(reason), f"{key} says {said.value} of what was read by {sorted(ways)}")
            return
        was_frozen = bool(self._held.get(manifest["source"]["backup_id"]))
        self.check(said is not Consistency.APPLICATION or was_frozen, f"{key} says {said.value}, and writes went on")
        self.check(said is not Consistency.LOGICAL, f"{key} says {said.value} of a backup")
        is_told = said is Consistency.POINT_IN_TIME or bool(reason)
        self.check(is_told, f"{key} says {said.value} and not why")
