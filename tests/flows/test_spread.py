"""A large backup is copied by several sandboxes at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rdbkeeper.domain.errors import LeaseLost, VaultDenied, WorkerDenied, WorkerDied
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.flows.runs import legs
from rdbkeeper.flows.runs.legs import MOST_VAIN_ROUNDS
from rdbkeeper.flows.runs.worker import do_share
from rdbkeeper.ports import Record
from tests.fakes.engine import ReplayEngine
from tests.fakes.rdb_files import rdb_file
from tests.flows.world import POLL, World, run_rule

WORKERS = 3
PART = 64
LARGE = {"0001": rdb_file(PART * 12 + 5, seed=1), "0002": rdb_file(PART * 3, seed=2)}


@pytest.fixture
def world() -> World:
    world = World(copying=CopySettings(part_size_bytes=PART, lanes=1, spread_from_bytes=PART * 10, workers=WORKERS))
    world.vault.smallest_part_bytes = 1
    world.add_backup("large", files=LARGE)
    return world


class Workers:
    """Does shares as the world's workers do, remembers what was asked, and may answer otherwise at first."""

    def __init__(self, world: World, *instead: Record, seconds_left: float = 900) -> None:
        self.world, self.instead, self.seconds_left = world, list(instead), seconds_left
        self.asked: list[Record] = []

    def __call__(self, share: Record) -> Record:
        self.asked.append(share)
        if self.instead:
            return self.instead.pop(0)
        return do_share(self.world.context(share["execution"]), share, self.seconds_left)

    def parts(self) -> list[tuple[str, int]]:
        pieces = [piece for share in self.asked for piece in share["pieces"]]
        return [(file, number) for file, first, last in pieces for number in range(first, last + 1)]


def run(world: World, workers: Workers) -> ReplayEngine:
    engine = world.engine()
    engine.worker = workers
    run_rule(engine, world.context(engine.execution), POLL)
    return engine


def test_a_backup_above_the_threshold_is_shared_out_and_checked_against_its_own_trailers(world: World) -> None:
    workers = Workers(world)
    run(world, workers)
    assert len(workers.asked) == WORKERS
    assert len(set(workers.parts())) == len(workers.parts()) == 16
    assert {key.rsplit("/", 1)[-1]: body for key, body in world.data().items()} == {
        f"{name}.rdb": body for name, body in LARGE.items()
    }
    (manifest,) = world.manifests().values()
    assert [file.checks[3] for file in manifest.files] == ["crc64", "crc64"]
    assert [len(file.part_sha256) for file in manifest.files] == [13, 3]


def test_a_backup_below_the_threshold_is_copied_by_the_run_itself(world: World) -> None:
    world.add_backup("small", days=1, files={"0001": rdb_file(PART * 5, seed=3)})
    workers = Workers(world)
    run(world, workers)
    assert {share["ticket"][1] for share in workers.asked} == {"large"}
    assert sorted(world.copied_backups()) == ["large", "small"]


def test_damage_is_found_though_no_sandbox_saw_the_whole_file(world: World) -> None:
    files = {"0001": LARGE["0001"][:100] + bytes([LARGE["0001"][100] ^ 1]) + LARGE["0001"][101:]}
    world.add_backup("damaged", days=1, files=files)
    engine = world.engine()
    engine.worker = Workers(world)
    with pytest.raises(Exception, match="1 failed"):
        run_rule(engine, world.context(engine.execution), POLL)
    assert world.outcomes() == {"large": "Published", "damaged": "ChecksumMismatch"}
    assert world.vault.uploads == {}


def test_what_workers_did_not_come_to_is_shared_out_anew(world: World) -> None:
    # 240 s of an invocation are held in reserve, so with none left each worker moves what it can in five seconds; the
    # clock of this world moves with each part.
    put_part = world.vault.put_part

    def put_slowly(*args: object) -> object:
        world.clock.advance(3)
        return put_part(*args)

    world.vault.put_part = put_slowly
    workers = Workers(world, seconds_left=0)
    run(world, workers)
    assert len(workers.asked) > WORKERS
    assert world.copied_backups() == ["large"]
    assert world.vault.parts_put == 16


def test_a_worker_that_died_has_its_share_done_by_others(world: World) -> None:
    died = {"failed": WorkerDied("its sandbox was killed").as_record()}
    workers = Workers(world, died)
    run(world, workers)
    assert world.copied_backups() == ["large"]
    assert world.vault.parts_put == 16


def test_when_every_worker_dies_again_and_again_the_backup_fails_and_nothing_is_left_open(world: World) -> None:
    died = {"failed": WorkerDied("its sandbox was killed").as_record()}
    workers = Workers(world, *[died] * 100)
    with pytest.raises(Exception, match="1 failed"):
        run(world, workers)
    assert len(workers.asked) == WORKERS * MOST_VAIN_ROUNDS
    assert world.outcomes() == {"large": "WorkerDied"}
    assert world.vault.uploads == {}


def test_where_no_worker_may_be_called_the_run_copies_alone_and_says_so(world: World) -> None:
    denied = {"failed": WorkerDenied("calling it was denied").as_record()}
    workers = Workers(world, *[denied] * 100)
    run(world, workers)
    assert len(workers.asked) == WORKERS
    assert world.copied_backups() == ["large"]
    assert world.journal.events().count("CopiedAlone") == 1


def test_an_error_that_another_round_would_meet_again_fails_the_backup_at_once(world: World) -> None:
    denied = {"failed": VaultDenied("AccessDenied").as_record()}
    workers = Workers(world, denied)
    with pytest.raises(Exception, match="1 failed"):
        run(world, workers)
    assert len(workers.asked) == WORKERS
    assert world.outcomes() == {"large": "VaultDenied"}


def test_a_worker_of_a_run_that_lost_its_lease_puts_no_part(world: World) -> None:
    class Stealing(Workers):
        def __call__(self, share: Record) -> Record:
            world.steal_lease()
            return super().__call__(share)

    with pytest.raises(LeaseLost):
        run(world, Stealing(world))
    assert world.vault.parts_put == 0
    assert world.vault.uploads == {}


def test_a_worker_that_meets_a_defect_says_so(world: World) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a defect")

    world.vault.put_part = fail
    with pytest.raises(Exception, match="1 failed"):
        run(world, Workers(world))
    assert world.outcomes() == {"large": "UnexpectedError"}
    assert "exception" in {line.level for line in world.journal.lines}


def test_data_found_without_a_manifest_is_read_again_by_several_too(world: World) -> None:
    for name, body in LARGE.items():
        world.vault.objects[f"redis/orders/20261120T021500Z-large/{name}.rdb"] = body
    workers = Workers(world)
    run(world, workers)
    assert world.vault.parts_put == 0
    assert world.journal.events().count("FragmentAdopted") == 2
    assert world.copied_backups() == ["large"]


def test_a_capped_rule_uses_no_more_sandboxes_than_its_cap_keeps_busy(world: World) -> None:
    world.edit(bandwidth_mbps=250)
    workers = Workers(world)
    run(world, workers)
    assert [share["sandboxes"] for share in workers.asked] == [2, 2]


def test_a_vain_round_is_followed_by_a_pause(world: World) -> None:
    died = {"failed": WorkerDied("its sandbox was killed").as_record()}
    workers = Workers(world, *[died] * (2 * WORKERS))
    began = world.clock.monotonic()
    run(world, workers)
    assert world.copied_backups() == ["large"]
    assert world.clock.monotonic() - began >= 30 + 120


def test_a_copy_that_would_never_end_is_given_up_early_and_says_what_would_help(world: World) -> None:
    put_part = world.vault.put_part

    def crawl(*args: object) -> object:
        world.clock.advance(3600 * 2)
        return put_part(*args)

    world.vault.put_part = crawl
    world.copying = replace(world.copying, workers=1)
    with pytest.raises(Exception, match="1 failed"):
        run(world, Workers(world))
    assert world.outcomes() == {"large": "CopyTooSlow"}
    assert world.vault.parts_put < 3
    assert "WorkersPerRule" in world.journal.text()


def test_a_fragment_that_took_long_to_read_again_does_not_make_its_copy_too_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legs, "LONGEST_COPY_S", 2_600.0)  # each pass takes 16 times 140 s
    world.copying = replace(world.copying, workers=1)
    for name, body in LARGE.items():
        key = f"redis/orders/20261120T021500Z-large/{name}.rdb"
        world.vault.objects[key] = body
        world.vault.without_sum.add(key)
    open_range = world.vault.open_range

    def read_slowly(*args: object) -> object:
        world.clock.advance(140)
        return open_range(*args)

    world.vault.open_range = read_slowly
    put_part = world.vault.put_part

    def put_slowly(*args: object) -> object:
        world.clock.advance(140)
        return put_part(*args)

    world.vault.put_part = put_slowly
    run(world, Workers(world))
    assert world.copied_backups() == ["large"]
