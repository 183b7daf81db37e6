"""Whether a server can be read in the one attempt that there is. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from rdbkeeper.domain.errors import ServerTooLarge
from rdbkeeper.domain.live import LiveFile
from rdbkeeper.domain.outcome import human_duration, human_size
from rdbkeeper.domain.source import Way
from rdbkeeper.domain.transfer import DEFAULT_PART_BYTES, MEBIBYTE, MOST_PARTS_OF_A_STREAM

# What a function of 1,024 MB reads, sums and puts in a second: half of what `make bench` measures, or less, as the way
# to the server is longer than there, and the server has other clients (118 to 236 MB and 37,000 to 54,000 keys).
FULL_SYNC_BYTES_PER_S = 50 * 10**6
LOGICAL_BYTES_PER_S = 25 * 10**6
LOGICAL_KEYS_PER_S = 25_000
# A server waits for more replicas before it begins: `repl-diskless-sync-delay`, 5 seconds where nobody set it.
FULL_SYNC_DELAY_S = 5
# A dataset written as an RDB file is smaller than in memory, hardly ever larger; parts are planned for twice as much.
CAUTION = 2


def estimate_s(file: LiveFile, keys_per_second: int, bandwidth_mbps: int) -> float:
    """How many seconds reading one shard will take, rather too many than too few."""
    per_s = FULL_SYNC_BYTES_PER_S if file.way is Way.FULL_SYNC else LOGICAL_BYTES_PER_S
    if bandwidth_mbps:
        per_s = min(per_s, bandwidth_mbps * 125_000)
    seconds = file.size_bytes / per_s
    if file.way is Way.LOGICAL:
        return max(seconds, file.keys / min(keys_per_second, LOGICAL_KEYS_PER_S))
    return seconds + FULL_SYNC_DELAY_S


def check_fits(file: LiveFile, keys_per_second: int, bandwidth_mbps: int, longest_s: float) -> None:
    """Raise ServerTooLarge when one shard would not be read in `longest_s` seconds."""
    seconds = estimate_s(file, keys_per_second, bandwidth_mbps)
    if seconds <= longest_s:
        return
    raise ServerTooLarge(
        f"Reading the shard {file.shard.name}, {human_size(file.size_bytes)} in memory and {file.keys:,} keys, by "
        f"{file.way.value} would take {human_duration(seconds)}; one attempt has {human_duration(longest_s)}.",
        hint=" ".join(_remedies(file, keys_per_second, bandwidth_mbps, longest_s)),
    )


def _remedies(file: LiveFile, keys_per_second: int, bandwidth_mbps: int, longest_s: float) -> list[str]:
    """What would let one shard be read in time, each by itself."""
    by_sync, fast = replace(file, way=Way.FULL_SYNC), max(keys_per_second, LOGICAL_KEYS_PER_S)
    remedies = []
    if estimate_s(by_sync, keys_per_second, bandwidth_mbps) <= longest_s:
        remedies.append("Allow SYNC and REPLCONF to the rule's user, and let its `way` be `auto`.")
    if estimate_s(file, fast, bandwidth_mbps) <= longest_s:
        remedies.append(f"Raise the rule's keys_per_second to {math.ceil(file.keys / longest_s)}.")
    if estimate_s(file, keys_per_second, 0) <= longest_s:
        remedies.append("Raise the rule's bandwidth_mbps.")
    return [*remedies, "Divide the data among more shards, or use the provider's own backups if it makes any."]


def part_bytes_for(file: LiveFile) -> int:
    """The part size for a stream of unknown length, so that its parts stay few enough to be on record."""
    needed = -(-CAUTION * file.size_bytes // MOST_PARTS_OF_A_STREAM)
    return max(DEFAULT_PART_BYTES, -(-needed // MEBIBYTE) * MEBIBYTE)
