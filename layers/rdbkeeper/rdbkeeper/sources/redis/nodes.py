"""What a server says of itself: its product, its part in a cluster, what may not change while it is read.

Sources: "INFO", "CLUSTER SLOTS" and "CLUSTER NODES" in the reference of Redis' commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rdbkeeper.domain.errors import ServerLost, SourceRefused, SourceUnavailable
from rdbkeeper.sources.redis.connection import Server, join_address
from rdbkeeper.sources.redis.refusals import Doing, NotRedis, resharded, taken_apart

SLOT_COUNT = 16_384
# What memory slots take that are moved as a whole, at the node that they come to and at the one that they leave:
# CLUSTER NODES marks them nowhere (CLUSTER MIGRATESLOTS; tried with Valkey 9.1).
_SLOTS_ON_THEIR_WAY = ("mem_cluster_slot_import", "mem_cluster_slot_export")
# Grows while slots come, also those of a move that is given up before its end.
_SLOTS_THAT_CAME = "total_net_cluster_slot_import_bytes"


@dataclass(frozen=True)
class NodeFacts:
    """A server's INFO, read."""

    fields: Mapping[str, str]

    @classmethod
    def ask(cls, server: Server) -> NodeFacts:
        """Raises NotRedis where what answers has no version, and what Server.ask raises."""
        fields = server.info()
        if "redis_version" not in fields and "valkey_version" not in fields:
            raise NotRedis
        return cls(fields)

    @property
    def is_valkey(self) -> bool:
        return self.fields.get("server_name") == "valkey" or "valkey_version" in self.fields

    @property
    def engine(self) -> str:
        return "valkey" if self.is_valkey else "redis"

    @property
    def engine_version(self) -> str:
        return self.fields.get("valkey_version") or self.fields.get("redis_version", "")

    @property
    def redis_version(self) -> tuple[int, int]:
        """Of Valkey the version of Redis that it says to be compatible with."""
        major, _, rest = self.fields.get("redis_version", "7.2").partition(".")
        minor = rest.partition(".")[0]
        return int(major) if major.isdigit() else 7, int(minor) if minor.isdigit() else 0

    @property
    def is_loading(self) -> bool:
        return self.fields.get("loading", "0") != "0" or self.fields.get("async_loading", "0") != "0"

    @property
    def is_cluster(self) -> bool:
        return self.fields.get("cluster_enabled") == "1"

    @property
    def is_sentinel(self) -> bool:
        return self.fields.get("redis_mode") == "sentinel"

    @property
    def is_replica(self) -> bool:
        return self.fields.get("role") == "slave"

    @property
    @taken_apart()
    def replicas(self) -> int:
        return int(self.fields.get("connected_slaves", "0"))

    @property
    def tells_keys(self) -> bool:
        """Whether INFO has the section on keys at all, which a server without keys has as well."""
        return any(name.lower() == "# keyspace" for name in self.fields)

    @property
    def keys(self) -> dict[int, int]:
        """How many keys each database holds, in order of the databases."""
        return self._keyspace("keys")

    @property
    def expiring(self) -> dict[int, int]:
        """How many of each database's keys can expire."""
        return self._keyspace("expires")

    @taken_apart()
    def _keyspace(self, what: str) -> dict[int, int]:
        found = {}
        for name, value in self.fields.items():
            if name.startswith("db") and name[2:].isdigit() and value.startswith("keys="):
                counts = dict(each.partition("=")[::2] for each in value.split(","))
                found[int(name[2:])] = int(counts.get(what, 0))
        return dict(sorted(found.items()))

    @property
    @taken_apart()
    def size_bytes(self) -> int:
        """What the data take in memory, less than which they take in a file; where that is not said, all memory.

        A few bytes a key are added for what a file has and memory counts elsewhere: an expiry, small numbers.
        """
        fields = self.fields
        data = int(fields.get("used_memory_dataset") or fields.get("used_memory") or 0)
        return data + int(fields.get("used_memory_functions", 0)) + 32 * sum(self.keys.values())


@dataclass(frozen=True)
class Standing:
    """What must be the same at the end of a reading as at its beginning, so that no key was missed.

    `slots` is "" where there is no cluster; `is_moving` when slots are on their way from or to the node.
    """

    run_id: str
    replicates: str
    slots: str = ""
    is_moving: bool = False
    epoch: str = ""
    came_bytes: str = ""

    @classmethod
    @taken_apart()
    def ask(cls, server: Server, facts: NodeFacts) -> Standing:
        """Raises what Server.ask raises."""
        fields = facts.fields
        primary = f"{fields.get('master_host')}:{fields.get('master_port')}" if facts.is_replica else ""
        if facts.is_replica and fields.get("master_sync_in_progress", "0") != "0":
            primary += " anew"
        run_id = fields.get("run_id", "")
        if not facts.is_cluster:
            return cls(run_id, primary)
        words = _own_line(server.ask("CLUSTER", "NODES").decode("utf-8", "replace"))
        settled = sorted(_slot_range(word) for word in words[8:] if not word.startswith("["))
        is_moving = any(word.startswith("[") for word in words[8:]) or any(
            fields.get(name, "0") != "0" for name in _SLOTS_ON_THEIR_WAY
        )
        return cls(run_id, primary, slots_text(settled), is_moving, words[6], fields.get(_SLOTS_THAT_CAME, ""))


def check_unchanged(before: Standing, now: Standing, doing: Doing) -> None:
    """Raise ServerLost when a node is not what it was, or slots moved."""
    if before != now or now.is_moving:
        raise resharded(doing) if now.slots or before.slots else _replaced(doing)


def _replaced(doing: Doing) -> Exception:
    return ServerLost(
        f"{doing}: the server was restarted, or became another's replica, meanwhile.",
        hint="Nothing was published; the next run begins anew.",
    )


def _own_line(nodes: str) -> list[str]:
    for line in nodes.splitlines():
        words = line.split()
        if len(words) >= 8 and "myself" in words[2].split(","):
            return words
    raise NotRedis


def _slot_range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    return int(first), int(last or first)


@dataclass(frozen=True)
class Primary:
    """One shard of a cluster: its primary's address and its slots."""

    address: str
    slots: str


@taken_apart()
def read_primaries(table: Sequence[Any], asked: str, *, prefers_names: bool) -> list[Primary]:
    """The primaries with slots, in the order of their slots, from what CLUSTER SLOTS answers.

    `asked` is the host that answered, which a node may mean by "". `prefers_names` takes a node's announced name
    rather than its address, since certificates are made for names. Raises SourceUnavailable unless each slot has one.
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for first, last, primary, *_ in table:
        ranges.setdefault(_address_of(primary, asked, prefers_names=prefers_names), []).append((first, last))
    covered = sum(last - first + 1 for of_one in ranges.values() for first, last in of_one)
    if covered != SLOT_COUNT:
        raise SourceUnavailable(
            f"The cluster of {asked[:200]} serves {covered:,} of {SLOT_COUNT:,} slots.",
            hint="A copy of it would lack keys. The next run asks again; look at the cluster's state.",
        )
    ordered = sorted(ranges.items(), key=lambda found: min(found[1]))
    return [Primary(address, slots_text(sorted(of_one))) for address, of_one in ordered]


def _address_of(node: Sequence[Any], asked: str, *, prefers_names: bool) -> str:
    host = (node[0] or b"").decode()
    notes = list(node[3]) if len(node) > 3 and isinstance(node[3], list) else []
    names = dict(zip(notes[::2], notes[1::2], strict=False))
    if prefers_names and (named := names.get(b"hostname")):
        host = named.decode()
    return join_address(host if host not in ("", "?") else asked, int(node[1]))


def slots_text(ranges: Sequence[tuple[int, int]]) -> str:
    """Slots as a shard carries them: `0-99,200,300-5460`; neighbours are put together."""
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in _joined(ranges))


def _joined(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    open_range: tuple[int, int] | None = None
    for first, last in ranges:
        if open_range is not None and first == open_range[1] + 1:
            open_range = (open_range[0], last)
            continue
        if open_range is not None:
            yield open_range
        open_range = (first, last)
    if open_range is not None:
        yield open_range


def check_kind(facts: NodeFacts, doing: Doing) -> None:
    """Raise SourceRefused for what speaks as Redis does and holds no data."""
    if facts.is_sentinel:
        raise SourceRefused(f"{doing}: that is a Sentinel.", hint="Name the address of a server that it watches.")


def check_ready(facts: NodeFacts, doing: Doing) -> None:
    """Raise SourceUnavailable while a server holds only a part of its data, or those of another time."""
    if facts.is_loading:
        raise SourceUnavailable(f"{doing}: the server is loading its data.", hint="The next run asks again.")
    if facts.is_replica and facts.fields.get("master_link_status") != "up":
        raise SourceUnavailable(
            f"{doing}: the replica has lost its primary, so its data may be old, or none.",
            hint="Look at the replica's log, or name the primary's address.",
        )
