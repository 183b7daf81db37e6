"""Moves a backup's files into the vault in legs: slices of time, each within one invocation.

Parts know nothing of each other. Each of a leg's lanes takes the next part, reads it into its own buffer, sums it and
puts it, so reading, summing and putting overlap, and what is busy is a core or the network. Memory is the part size
times the lanes, whatever the size of the backup.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from threading import Lock

from rdbkeeper.domain.errors import RdbkeeperError, SourceUnavailable, StreamCutShort, StreamTooLong
from rdbkeeper.domain.sums import Sums
from rdbkeeper.domain.transfer import MEBIBYTE, FileTransfer, Piece, Receipt, Stretch, Transfer
from rdbkeeper.flows.runs.pace import Pace
from rdbkeeper.ports import ByteStream, Clock, Record, Source, Upload, Vault
from rdbkeeper.rdb import checksum

# A durable step's result must stay below 256 KB, and a leg's carries up to 150 bytes for each part and each file.
MOST_ITEMS_PER_LEG = 1_500
# The SDK's own retries do not cover the body of an answer, so a part whose stream broke is opened again here, and a
# link that has expired is replaced by it.
OPENINGS_PER_PART = 5
# What the buffers of all lanes may take: files of hundreds of GiB have parts of tens of MiB, and fewer of them are
# then in flight, so that the smallest function still holds them.
MOST_BUFFER_BYTES = 320 * MEBIBYTE
READ_BYTES = MEBIBYTE
# How long a part that was begun when its leg's time was over may be read for.
PART_GRACE_S = 150.0


@dataclass(frozen=True)
class LegPorts:
    """What a leg needs of the world; no source where it only reads again what lies in the vault."""

    source: Source | None
    vault: Vault
    clock: Clock
    pace: Pace


@dataclass(frozen=True)
class Moved:
    """What a leg moved: stretches as records by their file's name, as `Transfer.advance` takes them.

    `cut_short` is what ended the leg before its time, where another try can help; None where nothing did.
    """

    progress: Record
    cut_short: RdbkeeperError | None


def copy_leg(transfer: Transfer, pieces: Sequence[Piece], ports: LegPorts, lanes: int, budget_s: float) -> Moved:
    """Move the pieces' parts in their order, for about `budget_s` seconds.

    At least one part is moved, so every leg makes progress. Raises SourceError, VaultError and IntegrityError where
    another try cannot help, or where not one part was moved; a leg that failed may be repeated from the same state.
    """
    files = {file.name: file for file in transfer.files}
    leg = _Leg(files, deque(_parts_of(pieces)), ports, ports.clock.monotonic() + budget_s)
    cut_short = leg.run(lanes)
    progress = {name: [stretch.as_record() for stretch in found] for name, found in leg.stretches().items()}
    return Moved(progress, cut_short)


def lanes_for(part_size_bytes: int, lanes: int) -> int:
    """How many parts of that size may be in flight; at least one."""
    return max(1, min(lanes, MOST_BUFFER_BYTES // max(1, part_size_bytes)))


@dataclass(frozen=True, order=True)
class _Part:
    file: str
    number: int


def _parts_of(pieces: Sequence[Piece]) -> list[_Part]:
    """The parts of the pieces in their order, as many as one leg's record can hold."""
    parts: list[_Part] = []
    for file_count, (file, of_file) in enumerate(groupby(pieces, lambda piece: piece.file), start=1):
        for piece in of_file:
            room = MOST_ITEMS_PER_LEG - len(parts) - file_count
            last = min(piece.last_part, piece.first_part + room - 1)
            parts += [_Part(file, number) for number in range(piece.first_part, last + 1)]
    return parts


@dataclass
class _Leg:
    """One leg's work, shared by its lanes."""

    files: dict[str, FileTransfer]
    waiting: deque[_Part]
    ports: LegPorts
    stop_at: float
    _moved: dict[_Part, tuple[Receipt, Sums]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _is_begun: bool = False
    _has_failed: bool = False

    def run(self, lanes: int) -> RdbkeeperError | None:
        """Move parts until the time is over or none is left; returns what stopped a lane, once the others stand.

        Raises it where another try cannot help, or where nothing was moved that would be lost.
        """
        largest = max(self._length_bytes(part) for part in self.waiting)
        lanes = min(lanes_for(largest, lanes), len(self.waiting))
        if lanes == 1:
            failures = [self._work(largest)]
        else:
            with ThreadPoolExecutor(lanes, thread_name_prefix="lane") as pool:
                failures = list(pool.map(self._work, [largest] * lanes))
        errors = [error for error in failures if error is not None]
        for error in errors:
            if not error.retryable or not self._moved:
                raise error
        return errors[0] if errors else None

    def stretches(self) -> dict[str, list[Stretch]]:
        """What was moved of each file, neighbours put together."""
        found: dict[str, list[Stretch]] = {}
        for part in sorted(self._moved):
            receipt, sums = self._moved[part]
            of_file = found.setdefault(part.file, [])
            if of_file and of_file[-1].next_part == part.number:
                before = of_file.pop()
                joined = checksum.join(before.sums, sums)
                of_file.append(Stretch(before.first_part, (*before.receipts, receipt), joined))
            else:
                of_file.append(Stretch(part.number, (receipt,), sums))
        return found

    def _work(self, largest_bytes: int) -> RdbkeeperError | None:
        """One lane: take a part, move it, until there is none to take; returns what stopped it."""
        buffer = bytearray(largest_bytes)
        try:
            while (part := self._take()) is not None:
                file = self.files[part.file]
                body = _read_part(file, part.number, self.ports, buffer, self.stop_at + PART_GRACE_S)
                upload = None if file.is_read_again else Upload(file.key, file.upload_id)
                self._moved[part] = put_part(upload, part.number, body, self.ports.vault)
        except BaseException as error:  # whatever ends one lane, the others need not begin another part
            self._has_failed = True
            if isinstance(error, RdbkeeperError):
                return error
            raise
        return None

    def _take(self) -> _Part | None:
        with self._lock:
            is_over = self._is_begun and self.ports.clock.monotonic() >= self.stop_at
            if self._has_failed or is_over or not self.waiting:
                return None
            self._is_begun = True
            return self.waiting.popleft()

    def _length_bytes(self, part: _Part) -> int:
        return self.files[part.file].part_range(part.number)[1]


def _read_part(file: FileTransfer, number: int, ports: LegPorts, buffer: bytearray, until: float) -> memoryview:
    """Read one part whole into the buffer; a stream that breaks is opened again at the byte where it broke.

    At the moment `until` the leg's reserve is used up, and whatever has not come by then is left to another leg.
    """
    first_byte, length_bytes = file.part_range(number)
    part = memoryview(buffer)[:length_bytes]
    if not part:
        return part  # an empty file has no range that could be asked for; what it is not is said when it is judged
    filled = 0
    for opening in range(1, OPENINGS_PER_PART + 1):
        count, error = _read_on(file, first_byte + filled, part[filled:], ports, until)
        filled += count
        if error is None:
            return part
        if not error.retryable or opening == OPENINGS_PER_PART or ports.clock.monotonic() >= until:
            raise error
    raise AssertionError("the last opening returns or raises")


def _read_on(
    file: FileTransfer, first_byte: int, rest: memoryview, ports: LegPorts, until: float
) -> tuple[int, RdbkeeperError | None]:
    """Fill `rest` from one opening of the file at that byte; how many bytes came, and what ended it before the end."""
    filled = paid = 0
    try:
        with closing(_open_range(file, first_byte, len(rest), ports)) as stream:
            while filled < len(rest):
                if filled == paid:
                    paid = min(len(rest), filled + READ_BYTES)
                    ports.pace.take(paid - filled)
                if ports.clock.monotonic() >= until:
                    raise _too_slow(file, first_byte + filled)
                count = stream.readinto(rest[filled:paid])
                if count == 0:
                    raise _cut_short(file, first_byte + filled)
                filled += count
            if stream.readinto(memoryview(bytearray(1))):
                raise _too_long(file, first_byte + filled)
    except StreamTooLong as error:
        return 0, error  # it was not the range that was asked for, so none of its bytes count
    except RdbkeeperError as error:
        return filled, error
    return filled, None


def _open_range(file: FileTransfer, first_byte: int, length_bytes: int, ports: LegPorts) -> ByteStream:
    if file.is_read_again or ports.source is None:
        return ports.vault.open_range(file.key, file.found_etag, first_byte, length_bytes)
    return ports.source.open_range(file.staged, first_byte, length_bytes)


def _cut_short(file: FileTransfer, at_byte: int) -> StreamCutShort:
    return StreamCutShort(
        f"Reading {file.name}.rdb stopped at {at_byte:,} of {file.staged.size_bytes:,} bytes.",
        hint="Nothing was published; the next run tries again. If it repeats, look at this backup's state in the "
        "provider's console.",
    )


def _too_slow(file: FileTransfer, at_byte: int) -> SourceUnavailable:
    return SourceUnavailable(
        f"Reading {file.name}.rdb was still at byte {at_byte:,} when its leg's time was over.",
        hint="The source hardly answers. The next leg goes on from this part.",
    )


def _too_long(file: FileTransfer, at_byte: int) -> StreamTooLong:
    return StreamTooLong(
        f"Reading {file.name}.rdb went on after byte {at_byte:,}, where it was to end.",
        hint="The provider sent something else than was asked for. Nothing was published; the next run tries again.",
    )


def put_part(upload: Upload | None, number: int, body: memoryview, vault: Vault) -> tuple[Receipt, Sums]:
    """Sum a part up, and put it; into no upload where it is only read again."""
    sums = checksum.sum_up(body)
    etag = ""
    if upload is not None:
        etag = vault.put_part(upload, number, body, sums.crc64nvme).etag
    return Receipt(etag, sums.crc64nvme, hashlib.sha256(body).hexdigest()), sums
