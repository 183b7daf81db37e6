"""What rdbkeeper says of bytes that have passed whole, in one word, and where it says something wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rdbkeeper.domain.backup import Shard, StagedFile
from rdbkeeper.domain.errors import IntegrityError
from rdbkeeper.domain.transfer import FileTransfer, Stretch
from rdbkeeper.flows.runs.publish import judge_file
from rdbkeeper.rdb.checksum import sum_up

VERIFIED = "verified"
UNCHECKED_ZERO = "unchecked: no CRC: zeros stand in its place, as a server with rdbchecksum off writes them"


def unchecked_format(version: str) -> str:
    """The ruling on a file of a format that has no CRC."""
    return f"unchecked: no CRC: format {version} has none"


@dataclass(frozen=True)
class Trial:
    """Bytes to be judged, how they came about, and what has to be said of them."""

    what: str
    data: bytes
    expected: str


def rule_on(data: bytes) -> str:
    """`verified`, `unchecked: ` and the reason, or the code of the error; each error names the file and has a hint."""
    try:
        verdict = judge_file(_passed(data)).verdict
    except IntegrityError as error:
        return _code_of(error)
    assert ("crc64" in verdict.checks) == (verdict.unchecked_reason == "")
    return f"unchecked: {verdict.unchecked_reason}" if verdict.unchecked_reason else VERIFIED


def wrong_rulings(trials: Iterable[Trial]) -> Iterator[str]:
    """A sentence for each trial of which something else is said than has to be."""
    for trial in trials:
        ruling = rule_on(trial.data)
        if ruling != trial.expected:
            yield f"{trial.what}: {ruling} in place of {trial.expected}"


def _code_of(error: IntegrityError) -> str:
    assert error.message.startswith("0001.rdb: ") and error.hint
    return error.code


def _passed(data: bytes) -> FileTransfer:
    """The transfer of a file whose bytes have passed in three stretches, cut within its header and its trailer."""
    view = memoryview(data)
    middle = max(5, len(data) - 4)
    pieces = [piece for piece in (view[:5], view[5:middle], view[middle:]) if piece] or [view]
    stretches = tuple(Stretch(number, (), sum_up(piece)) for number, piece in enumerate(pieces, start=1))
    staged = StagedFile(Shard("0001", "0-16383"), "staged.rdb", len(data), "tag")
    return FileTransfer(staged, "0001.rdb", "upload", max(1, len(data)), stretches=stretches)
