"""How files are cut into parts, and what a leg's record keeps."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rdbkeeper.aws.engine import LARGEST_RESULT_BYTES
from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.transfer import MEBIBYTE, MOST_PARTS, FileTransfer, Receipt, Transfer, part_size_bytes
from rdbkeeper.flows.transfer import MOST_ITEMS_PER_LEG

GIBIBYTE = 1024 * MEBIBYTE
LARGEST_OBJECT_BYTES = 5 * 1024 * GIBIBYTE  # what S3 allowed for years; larger ones fit as well


def file_of(size_bytes: int, name: str = "0001") -> FileTransfer:
    staged = StagedFile(Shard(name), f"staged-{name}", size_bytes, '"etag"')
    return FileTransfer(staged, f"orders/copy/{name}.rdb", "upload")


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


def test_a_leg_keeps_only_what_it_added() -> None:
    before = Transfer((file_of(40 * MEBIBYTE), file_of(5, "0002")))
    moved = before.files[0].advance(
        {"receipts": [["tag", 7, "aa"]], "crc64": 1, "crc64nvme": 2, "header": "5245", "trailer": "ff"}
    )
    after = Transfer((moved, before.files[1]))
    record = after.progress_record(before)
    assert list(record) == ["0"]
    assert before.advance(record) == after
    assert after.progress_record(after) == {}
    assert moved.receipts == (Receipt("tag", 7, "aa"),)


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
        )
        for n in range(500)
    ]
    assert len(json.dumps(Transfer(tuple(shards)).plan_record())) < LARGEST_RESULT_BYTES


def test_the_fullest_leg_fits_a_checkpoint() -> None:
    receipt = Receipt('"' + "e" * 32 + '"', 2**64 - 1, "s" * 64)
    one_part = [file_of(1, f"{n:04d}") for n in range(MOST_ITEMS_PER_LEG // 2)]
    many_parts = [file_of(MOST_PARTS * 16 * MEBIBYTE)]
    for files, receipts in ((one_part, 1), (many_parts, MOST_ITEMS_PER_LEG)):
        before = Transfer(tuple(files))
        moved = Transfer(
            tuple(
                replace(file, receipts=(receipt,) * receipts, crc64=2**64 - 1, header=b"h" * 9, trailer=b"t" * 9)
                for file in files
            )
        )
        assert len(json.dumps(moved.progress_record(before))) < LARGEST_RESULT_BYTES
