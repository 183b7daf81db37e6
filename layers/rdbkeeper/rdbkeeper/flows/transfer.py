"""Moves a backup's files into the vault in legs: slices of time, each within one invocation.

A leg reads part after part (one ranged read each), sums it as it passes, and puts it while the next is being read.
Memory is the part size times the buffers in flight, whatever the size of the backup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from queue import SimpleQueue

from rdbkeeper.domain.errors import RdbkeeperError, StreamCutShort
from rdbkeeper.domain.transfer import FileTransfer, Receipt, Transfer
from rdbkeeper.ports import ByteStream, Clock, Source, Upload, Vault
from rdbkeeper.rdb import checksum, envelope

PARTS_IN_FLIGHT = 3
# A durable step's result must stay below 256 KB, and a leg's carries up to 150 bytes for each part and each file.
MOST_ITEMS_PER_LEG = 1_500
# The SDK's own retries do not cover the body of an answer, so a part whose connection broke is read again here.
READ_ATTEMPTS = 3


def copy_leg(transfer: Transfer, source: Source, vault: Vault, clock: Clock, budget_s: float) -> Transfer:
    """Copy on from where the transfer stands, for at most about `budget_s` seconds; returns how far it came.

    At least one part is moved, so every leg makes progress. Raises SourceError, VaultError, StreamCutShort; a leg
    that failed may be repeated from the same state.
    """
    stop_at = clock.monotonic() + budget_s
    items_left = MOST_ITEMS_PER_LEG
    files = list(transfer.files)
    for position, file in enumerate(files):
        if file.is_done:
            continue
        moved = _copy_file(file, source, vault, items_left - 1, lambda: clock.monotonic() >= stop_at)
        files[position] = moved
        items_left -= len(moved.receipts) - len(file.receipts) + 1
        if not moved.is_done or items_left <= 1 or clock.monotonic() >= stop_at:
            break
    return Transfer(tuple(files))


def _copy_file(
    file: FileTransfer, source: Source, vault: Vault, most_parts: int, time_is_over: Callable[[], bool]
) -> FileTransfer:
    first = len(file.receipts) + 1
    last = min(file.part_count, first + most_parts - 1)
    buffers = _buffers(file)
    puts: list[Future[Receipt]] = []
    with ThreadPoolExecutor(PARTS_IN_FLIGHT, thread_name_prefix="put") as pool:
        try:
            for number in range(first, last + 1):
                if puts and time_is_over():
                    break
                buffer = buffers.get()
                part = _read_part(file, number, source, vault, buffer)
                crc64nvme = checksum.crc64_nvme(part)
                file = _sum_up(file, number, part, crc64nvme)
                puts.append(pool.submit(_put_part, file, number, part, crc64nvme, vault))
                puts[-1].add_done_callback(partial(_give_back, buffers, buffer))
                _raise_first_failure(puts)
        except BaseException:  # whatever ends the leg, what is not being put yet need not be
            for put in puts:
                put.cancel()
            raise
    return replace(file, receipts=file.receipts + tuple(put.result() for put in puts))


def _buffers(file: FileTransfer) -> SimpleQueue[bytearray]:
    """One buffer more than there are puts at a time: the one that is being filled."""
    largest = min(file.part_size_bytes, file.staged.size_bytes)
    buffers: SimpleQueue[bytearray] = SimpleQueue()
    for _ in range(min(PARTS_IN_FLIGHT + 1, file.part_count)):
        buffers.put(bytearray(largest))
    return buffers


def _read_part(file: FileTransfer, number: int, source: Source, vault: Vault, buffer: bytearray) -> memoryview:
    """Read one part whole into the buffer, again where a retry can help."""
    for attempt in range(1, READ_ATTEMPTS + 1):
        try:
            return _read_part_once(file, number, source, vault, buffer)
        except RdbkeeperError as error:
            if not error.retryable or attempt == READ_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _read_part_once(file: FileTransfer, number: int, source: Source, vault: Vault, buffer: bytearray) -> memoryview:
    """Read one part into the buffer; an end of stream before its length is an error."""
    first_byte, length_bytes = file.part_range(number)
    part = memoryview(buffer)[:length_bytes]
    with closing(_open_range(file, first_byte, length_bytes, source, vault)) as stream:
        filled = 0
        while filled < length_bytes:
            count = stream.readinto(part[filled:])
            if count == 0:
                raise StreamCutShort(
                    f"Reading {file.staged.shard.name}.rdb stopped at {first_byte + filled:,} of "
                    f"{file.staged.size_bytes:,} bytes.",
                    hint="Nothing was published; the next run tries again. If it repeats, look at this backup's state "
                    "in the provider's console.",
                )
            filled += count
    return part


def _open_range(file: FileTransfer, first_byte: int, length_bytes: int, source: Source, vault: Vault) -> ByteStream:
    if file.is_read_again:
        return vault.open_range(file.key, file.found_etag, first_byte, length_bytes)
    return source.open_range(file.staged, first_byte, length_bytes)


def _sum_up(file: FileTransfer, number: int, part: memoryview, crc64nvme: int) -> FileTransfer:
    """Carry the sums on over one part, and keep the file's first and last bytes."""
    header = bytes(part[: envelope.HEADER_BYTES]) if number == 1 else file.header
    tail = file.trailer + bytes(part[-envelope.TRAILER_BYTES :])
    return replace(
        file,
        crc64=checksum.crc64_redis(part, file.crc64),
        crc64nvme=checksum.combine_crc64_nvme(file.crc64nvme, crc64nvme, len(part)),
        header=header,
        trailer=tail[-envelope.TRAILER_BYTES :],
    )


def _put_part(file: FileTransfer, number: int, part: memoryview, crc64nvme: int, vault: Vault) -> Receipt:
    etag = ""
    if not file.is_read_again:
        etag = vault.put_part(Upload(file.key, file.upload_id), number, part, crc64nvme).etag
    return Receipt(etag, crc64nvme, hashlib.sha256(part).hexdigest())


def _give_back(buffers: SimpleQueue[bytearray], buffer: bytearray, _: Future[Receipt]) -> None:
    buffers.put(buffer)


def _raise_first_failure(puts: list[Future[Receipt]]) -> None:
    for put in puts:
        if put.done():
            put.result()
