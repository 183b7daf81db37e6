"""How files are cut into parts, and what a leg's record keeps."""

from __future__ import annotations

import json

import pytest

from rdbkeeper.aws.engine import LARGEST_RESULT_BYTES
from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import UnexpectedError
from rdbkeeper.domain.shares import share_out
from rdbkeeper.domain.sums import Sums
from rdbkeeper.domain.transfer import (
    MEBIBYTE,
    MOST_PARTS,
    MOST_PARTS_OF_A_BACKUP,
    CopySettings,
    FileTransfer,
    Piece,
    Receipt,
    Stretch,
    Transfer,
    part_size_bytes,
    smallest_part_bytes,
)
from rdbkeeper.flows.runs.transfer import MOST_ITEMS_PER_LEG

GIBIBYTE = 1024 * MEBIBYTE
LARGEST_OBJECT_BYTES = 5 * 1024 * GIBIBYTE  # what S3 allowed for years; larger ones fit as well


def file_of(size_bytes: int, name: str = "0001") -> FileTransfer:
    staged = StagedFile(Shard(name), f"staged-{name}", size_bytes, '"etag"')
    return FileTransfer(staged, f"orders/copy/{name}.rdb", "upload", part_size_bytes(size_bytes))


def stretch(first_part: int, parts: int = 1) -> Stretch:
    return Stretch(first_part, (Receipt("tag", 7, "aa"),) * parts, Sums(parts * 16 * MEBIBYTE, 1, 2, b"RE", b"\xff"))


@pytest.mark.parametrize(
    "size_bytes, part_bytes",
    [(1, 16 * MEBIBYTE), (100 * GIBIBYTE, 16 * MEBIBYTE), (420 * GIBIBYTE, 44 * MEBIBYTE)],
)
def test_parts_are_16_mib_and_grow_with_the_file(size_bytes: int, part_bytes: int) -> None:
    assert part_size_bytes(size_bytes) == part_bytes


@pytest.mark.parametrize(
    "size_bytes",
    [
        1,
        16 * MEBIBYTE,
        16 * MEBIBYTE + 1,
        420 * GIBIBYTE,
        MOST_PARTS * 16 * MEBIBYTE + 1,
        LARGEST_OBJECT_BYTES,
    ],
)
def test_parts_cover_the_file_once_and_stay_within_s3s_limits(size_bytes: int) -> None:
    file = file_of(size_bytes)
    assert file.part_count <= MOST_PARTS
    assert 5 * MEBIBYTE <= file.part_size_bytes <= 5 * GIBIBYTE
    first, length = file.part_range(file.part_count)
    assert first + length == size_bytes and length >= 1
    assert file.part_range(1)[0] == 0


def test_a_backup_of_many_terabytes_has_no_more_parts_than_a_run_can_keep_receipts_of() -> None:
    settings = CopySettings()
    assert smallest_part_bytes(1600 * GIBIBYTE // 1024 * 1000, settings) == 16 * MEBIBYTE
    for terabytes in (2, 9, 90):
        size_bytes = terabytes * 10**12
        part_bytes = smallest_part_bytes(size_bytes, settings)
        assert size_bytes / part_bytes <= MOST_PARTS_OF_A_BACKUP
        assert part_bytes % MEBIBYTE == 0


def test_what_a_leg_added_is_put_where_it_belongs() -> None:
    before = Transfer((file_of(40 * MEBIBYTE), file_of(5, "0002")))
    after = before.advance({"0001": [stretch(2, 2).as_record()]})
    assert after.files[0].stretches == (stretch(2, 2),)
    assert after.files[1] == before.files[1]
    assert after.missing() == (Piece("0001", 1, 1), Piece("0002", 1, 1))
    assert (after.parts_done, after.moved_bytes) == (2, 32 * MEBIBYTE)
    whole = after.advance({"0001": [stretch(1).as_record()]})
    assert [at.first_part for at in whole.files[0].stretches] == [1, 2]
    assert whole.files[0].is_done and not whole.is_done


def test_a_part_that_was_moved_twice_is_a_defect() -> None:
    transfer = Transfer((file_of(40 * MEBIBYTE),)).advance({"0001": [stretch(1, 2).as_record()]})
    with pytest.raises(UnexpectedError, match="twice"):
        transfer.advance({"0001": [stretch(2).as_record()]})


def test_the_smallest_part_size_is_part_of_the_plan() -> None:
    staged = StagedFile(Shard("0001"), "staged", 1000, '"etag"')
    plan = Transfer((FileTransfer(staged, "orders/copy/0001.rdb", "upload", 64),), 64)
    again = Transfer.from_plan_record(plan.plan_record(), "orders/", "copy")
    assert (again, again.files[0].part_count) == (plan, 16)


def test_a_plan_survives_being_written_down() -> None:
    plan = Transfer((file_of(40 * MEBIBYTE), file_of(5, "0002")))
    assert Transfer.from_plan_record(plan.plan_record(), "orders/", "copy") == plan


def test_the_plan_of_the_largest_instance_fits_a_checkpoint() -> None:
    shards = [
        FileTransfer(
            StagedFile(
                Shard(f"{n:04d}", "10000-10032"), f"rdbkeeper-{'i' * 40}-{'a' * 16}-{n:04d}.rdb", 10**12, "e" * 40
            ),
            f"{'p' * 512}/{'i' * 40}/copy/{n:04d}.rdb",
            "u" * 150,
            part_size_bytes(10**12),
        )
        for n in range(500)
    ]
    assert len(json.dumps(Transfer(tuple(shards)).plan_record())) < LARGEST_RESULT_BYTES


def test_the_fullest_leg_fits_a_checkpoint() -> None:
    receipt = Receipt('"' + "e" * 32 + '"', 2**64 - 1, "s" * 64)
    sums = Sums(10**13, 2**64 - 1, 2**64 - 1, b"h" * 9, b"t" * 9)
    one_part = {f"{n:04d}": [Stretch(1, (receipt,), sums)] for n in range(MOST_ITEMS_PER_LEG // 2)}
    many_parts = {"0001": [Stretch(1, (receipt,) * MOST_ITEMS_PER_LEG, sums)]}
    for progress in (one_part, many_parts):
        record = {name: [at.as_record() for at in stretches] for name, stretches in progress.items()}
        assert len(json.dumps({"result": {"progress": record, "seconds": 660.123456789}})) < LARGEST_RESULT_BYTES


@pytest.mark.parametrize("workers", [1, 2, 7, 50])
@pytest.mark.parametrize("sizes", [[1000], [1, 1, 1], [640, 64, 6400, 1], [64 * 99]])
def test_shares_cover_what_is_missing_once_and_are_about_equal(sizes: list[int], workers: int) -> None:
    files = tuple(
        FileTransfer(StagedFile(Shard(f"{n:04d}"), "staged", size, '"e"'), "key", "upload", 64)
        for n, size in enumerate(sizes)
    )
    transfer = Transfer(files, 64).advance(
        {"0000": [Stretch(1, (Receipt("", 0, ""),), Sums(size_bytes=1)).as_record()]}
    )
    shares = share_out(transfer, workers)
    parts = [[(at.file, n) for at in share for n in range(at.first_part, at.last_part + 1)] for share in shares]
    missing = [(at.file, n) for at in transfer.missing() for n in range(at.first_part, at.last_part + 1)]
    assert [part for share in parts for part in share] == missing
    assert len(shares) == min(workers, len(missing))
    if parts:
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
