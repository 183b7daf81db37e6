"""Whether SCAN named as many keys as the server counts, and each database stayed under its number.

SCAN names every key that is there all the time, but not through a proxy that passes it on to one of its shards, and not
when a database changes its place with another ("SWAPDB", Redis commands). Both would leave a file that is valid and
lacks keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.errors import ServerLost
from rdbkeeper.sources.redis.connection import Server
from rdbkeeper.sources.redis.nodes import NodeFacts
from rdbkeeper.sources.redis.refusals import Doing, Refusal, taken_apart

# Where keys come and go all the time, SCAN names about as many as there are at any time, a few more or fewer.
_SHARE = 0.9
_FEW = 10
# Keys that have expired are counted until they are reaped, and SCAN leaves them out: a server works on them while more
# than a quarter of those that can expire have ("EXPIRE", Redis commands: how Redis expires keys).
_UNREAPED_SHARE = 0.25
_SWAPS = "cmdstat_swapdb"


@dataclass(frozen=True)
class KeyCount:
    """How many keys a database held at one moment, and how many of them can expire."""

    keys: int
    expiring: int

    @classmethod
    @taken_apart()
    def ask(cls, server: Server, facts: NodeFacts, database: int) -> KeyCount:
        """The count of the database that is selected: INFO's or DBSIZE's, whichever is larger.

        They differ where a proxy answers one of them for a single shard. Raises what Server.ask raises.
        """
        try:
            size = int(server.ask("DBSIZE"))
        except Refusal:
            size = 0
        return cls(max(size, facts.keys.get(database, 0)), facts.expiring.get(database, 0))


def check_named(named: int, before: KeyCount, after: KeyCount, database: int, doing: Doing) -> None:
    """Raise ServerLost when fewer keys of a database were named than it can have held all the time."""
    least, expiring = min(before.keys, after.keys), max(before.expiring, after.expiring)
    if named >= _SHARE * least - _UNREAPED_SHARE * expiring - _FEW:
        return
    raise ServerLost(
        f"{doing}: SCAN named {named:,} keys of database {database}, which held {before.keys:,} before and "
        f"{after.keys:,} after.",
        hint="Nothing was published. A proxy may answer SCAN for one of its shards alone: name the servers themselves. "
        "If very many keys expired, or were removed and made again, meanwhile, the next run finds them all.",
    )


@taken_apart()
def ask_swaps(server: Server) -> int | None:
    """How often databases have changed places on a server, as far as it counts; None where it does not say."""
    try:
        stats = server.info("commandstats")
    except Refusal:
        return None
    if not any(name.startswith("cmdstat_") for name in stats):
        return None
    calls = stats.get(_SWAPS, "calls=0").partition("calls=")[2]
    return int(calls.partition(",")[0])


def check_not_swapped(before: int | None, now: int | None, doing: Doing) -> None:
    """Raise ServerLost when databases changed places between two counts."""
    if before != now and before is not None and now is not None:
        raise ServerLost(
            f"{doing}: databases changed places (SWAPDB) meanwhile, so keys may have been missed.",
            hint="Nothing was published. The next run begins anew; let it run while nobody swaps databases.",
        )
