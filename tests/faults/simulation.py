"""A world by its seed: days of overlapping runs, frozen processes, faults and people, and then a quiet time.

Whoever is going may come next before any call of anybody: processes hand each other the turn there. Everything is
decided by one generator of random numbers, so a seed always tells the same story.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

from greenlet import getcurrent, greenlet

from rdbkeeper.domain.transfer import CopySettings
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.faults.execution import Execution
from tests.faults.fault import EVENTS_AT_REST, EVENTS_ON_DEMAND, Kind, kinds_of
from tests.faults.oracles import Violation
from tests.faults.people import add_arrival, let_happen
from tests.faults.process import Process
from tests.faults.settled import settle
from tests.faults.simulated_rest import make_at_rest
from tests.faults.simulated_sources import has_hooks, is_live, let_make_backups, make_of_another_source
from tests.faults.world import PART_BYTES, World

RULE = "nightly"
MOST_TURNS = 20_000
_DAILY_DOINGS = (
    Kind.BACKUP_ARRIVES,
    Kind.BACKUP_ARRIVES,
    Kind.BACKUP_VANISHES,
    Kind.STAGED_FILES_TAKEN,
    Kind.UPLOADS_ABORTED,
    Kind.DATA_TAKEN,
    Kind.COPY_TAKEN,
    Kind.RULE_PAUSED,
    Kind.RULE_MOVED,
)
_RARE_DOINGS = (Kind.RULE_DELETED, Kind.INSTANCE_VANISHES)
OTHER_SOURCES_RATE = 0.15  # of the stories that are of servers reached directly, of links, and of exports without names
AT_REST_RATE = 0.5  # of the others: those in which copies lie there from the beginning
ON_DEMAND_RATE = 0.2  # of those in which runs have backups made


def play_seed(seed: int, told: list[str] | None = None) -> World:
    """The story of a seed, and the quiet time after it. Raises Violation."""
    story = _Story(seed)
    story.world.told = told
    story.tell()
    return story.world


@cache
def _file(size_bytes: int, seed: int, *, checksum: bool = True) -> bytes:
    return rdb_file(size_bytes, seed, checksum=checksum)


class _Story:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = _make_world(self.random)
        has_copies = bool(self.world.oracles.at_rest.published)
        self.doings = (*_DAILY_DOINGS, *EVENTS_AT_REST) if has_copies else _DAILY_DOINGS
        if has_hooks(self.world, RULE):
            self.doings += (*EVENTS_ON_DEMAND, Kind.HOURLY_LOOK)
        self.fault_rate = self.random.choice((0.0, 0.01, 0.03, 0.08))
        self.doing_rate = self.random.choice((0.0, 0.004, 0.015))
        self.stop_rate = self.random.choice((0.0, 0.0, 0.003, 0.01))
        self.freeze_rate = self.random.choice((0.0, 0.01, 0.03))
        self.turns = 0
        self._main: greenlet = getcurrent()
        self._next: Execution | None = None
        self._at_work: dict[Execution, greenlet] = {}
        self._frozen_until: dict[Execution, float] = {}

    def tell(self) -> None:
        world, chance = self.world, self.random
        self._main = getcurrent()
        world.take_turns = self._hand_over_the_turn
        world.injector.choose = self._choose
        for _ in range(chance.choice((1, 1, 2, 2, 3))):
            for _ in range(chance.choice((0, 1, 1, 1, 2, 2))):
                execution = world.fire(RULE)
                execution.wake_s += chance.choice((0, 0, 20, 400, 1300))
            self._drive()
            world.injector.end_outages()
            world.hours.pass_by(chance.choice((60, 900, 3600, 80_000)))
        world.injector.end_faults()
        world.take_turns = None
        settle(world)

    # ----------------------------------------------------------------- turns

    def _drive(self) -> None:
        """Give turns until nothing is going and no process lives."""
        self._next = self._choose_next()
        while self._next is not None or self._at_work or self.world.executions.going():
            if self._next is not None:
                self._give_turns(self._next)
            else:
                self._let_time_pass()
                self._next = self._choose_next()

    def _choose_next(self) -> Execution | None:
        """Whose process comes next, those begun that are due; None while all wait."""
        self._start_what_is_due()
        now_s = self.world.clock.monotonic()
        able = [one for one in self._at_work if self._frozen_until.get(one, 0.0) <= now_s]
        if not able:
            return None
        return self.random.choice(able) if len(able) > 1 else able[0]

    def _start_what_is_due(self) -> None:
        now_s = self.world.clock.monotonic()
        for execution in self.world.executions.going():
            if execution.wake_s <= now_s and execution not in self._at_work:
                self._at_work[execution] = greenlet(self._invocation(execution))

    def _invocation(self, execution: Execution) -> Callable[[], None]:
        skew_s = self.random.choice((0, 0, 0, -100, 100))
        return lambda: self.world.invoke(execution, skew_s)

    def _give_turns(self, execution: Execution) -> None:
        """Let a process go on, until it ends or another one comes next."""
        self._count_turn()
        at_work = self._at_work[execution]
        at_work.switch()
        if at_work.dead:
            del self._at_work[execution]
            self._frozen_until.pop(execution, None)
            self._disturb(execution)
            self._next = self._choose_next()

    def _hand_over_the_turn(self, process: Process, label: str) -> None:
        """Before each call; where the same process comes next it goes on at once."""
        self._disturb(process.execution)
        self._next = self._choose_next()
        if self._next is process.execution:
            self._count_turn()
        else:
            self._main.switch()

    def _count_turn(self) -> None:
        self.turns += 1
        if self.turns >= MOST_TURNS:
            raise Violation("a story never ends")

    def _disturb(self, execution: Execution) -> None:
        """What can come between two calls: time, a freeze, an execution's end, people."""
        chance, world = self.random, self.world
        world.clock.advance(0.25)
        roll = chance.random()
        if roll < self.freeze_rate:
            self._frozen_until[execution] = world.clock.monotonic() + chance.choice((5, 100, 600, 1000))
        elif roll < self.freeze_rate + self.stop_rate and execution.is_going:
            world.trace("    !! its execution is stopped")
            world.note("an execution was stopped")
            execution.end("STOPPED")
        elif roll > 1 - self.doing_rate:
            doings = _RARE_DOINGS if chance.random() < 0.05 else self.doings
            self._do(chance.choice(doings))

    def _do(self, kind: Kind) -> None:
        self.world.injector.remember(kind, "between two calls")
        if kind is Kind.BACKUP_ARRIVES and self.world.arrivals >= 3:
            return
        let_happen(self.world, kind, RULE)

    def _let_time_pass(self) -> None:
        now_s = self.world.clock.monotonic()
        moments = [until for one, until in self._frozen_until.items() if one in self._at_work]
        moments += [one.wake_s for one in self.world.executions.going() if one not in self._at_work]
        self.world.hours.pass_by(max(0.25, min(moments, default=now_s) - now_s))

    def _choose(self, label: str) -> Kind | None:
        if self.random.random() >= self.fault_rate:
            return None
        return self.random.choice(kinds_of(label))


def _make_world(chance: random.Random) -> World:
    roll = chance.random()
    if roll < OTHER_SOURCES_RATE:
        world = make_of_another_source(chance, RULE)
    else:
        world = World()
        if chance.random() < AT_REST_RATE:
            make_at_rest(world, chance, RULE)
        else:
            world.add_rule(RULE, bandwidth_mbps=chance.choice((0, 0, 0, 1)))
    if is_live(world, RULE):
        return world
    if chance.random() < ON_DEMAND_RATE:
        let_make_backups(world, chance, RULE)
    spread = chance.choice((10**9, 10**9, 150))
    world.copying = CopySettings(part_size_bytes=PART_BYTES, lanes=1, spread_from_bytes=spread, workers=3)
    world.operations_weigh = chance.choice((1, 1, 1, 150))
    world.without_workers = chance.random() < 0.1
    world.seconds_per_invocation = chance.choice((900.0, 900.0, 900.0, 1.0))
    world.seconds_per_read = chance.choice((0.0, 0.0, 3.0))
    world.the_source.looks_until_ready = chance.choice((1, 1, 2))
    for number in range(chance.choice((1, 1, 2, 2, 3))):
        _add_backup(world, chance, number)
    if chance.random() < 0.1:
        add_arrival(world, "orders")
    return world


def _add_backup(world: World, chance: random.Random, number: int) -> None:
    files = {}
    for shard in range(1, chance.choice((1, 1, 1, 2)) + 1):
        size_bytes = chance.choice((40, 64, 64, 100, 128, 160))
        files[f"{shard:04d}"] = _file(size_bytes, number * 10 + shard, checksum=chance.random() > 0.1)
    is_whole = chance.random() > 0.1 or files["0001"][-8:] == bytes(8)
    if not is_whole:
        files["0001"] = flip_bit(files["0001"], 20)
    true = world.add_backup(f"b{number}", number, files, is_whole=is_whole)
    if chance.random() < 0.2:
        body = files["0001"]
        found = chance.choice((body, body[:-1], flip_bit(body, 12)))
        world.the_vault.objects[f"redis/orders/{true.backup.copy_id}/0001.rdb"] = found
