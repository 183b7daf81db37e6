"""Servers that are reached directly, alone or in a cluster, behind the port LiveSource."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.errors import SyncRefused
from rdbkeeper.domain.live import LiveFile, LivePlan
from rdbkeeper.domain.live_estimate import check_fits
from rdbkeeper.domain.source import LIVE_PROVIDER, SourceAccess, Way
from rdbkeeper.ports import Clock, LiveStream
from rdbkeeper.sources.redis import full_sync
from rdbkeeper.sources.redis.connection import Connector, Login, Server
from rdbkeeper.sources.redis.keys import KeyReader
from rdbkeeper.sources.redis.logical import LogicalReading, LogicalStream
from rdbkeeper.sources.redis.measuring import check_countable, find_addresses, measure
from rdbkeeper.sources.redis.nodes import NodeFacts, Standing, check_kind, check_ready, check_unchanged
from rdbkeeper.sources.redis.pacing import KeyPace
from rdbkeeper.sources.redis.refusals import Doing, Refusal, resharded, translated

# For all that is asked of a server, and of a cluster, which may have 500 shards.
FIND_TIMEOUT_S = 60.0
MEASURE_TIMEOUT_S = 120.0


class RedisSource:
    """The source behind one rule's access; `login` is asked when the first connection is made.

    `longest_s` is how many seconds reading one shard may take.
    """

    def __init__(
        self, access: SourceAccess, login: Callable[[], Login], clock: Clock, longest_s: float = math.inf
    ) -> None:
        self._access = access
        self._clock = clock
        self.longest_s = longest_s
        self._connector = Connector(access, login, clock)

    def find_instance(self, name: str) -> Instance:
        server = self._connector.within(FIND_TIMEOUT_S).connect(self._access.address)
        doing = Doing("Asking", server.address)
        try:
            with translated(doing):
                return self._describe(name, server, doing)
        finally:
            server.close()

    def measure(self) -> LivePlan:
        return measure(self._connector.within(MEASURE_TIMEOUT_S), self._access)

    def open_stream(self, file: LiveFile) -> LiveStream:
        if file.way is not Way.FULL_SYNC:
            return self._read_by_keys(file)
        try:
            return self._read_at_once(file)
        except SyncRefused as refused:
            if self._access.way is not Way.AUTO:
                raise
            # It was measured for the faster way. What its rule's bandwidth makes of it was looked at then.
            check_fits(replace(file, way=Way.LOGICAL), self._access.keys_per_second, 0, self.longest_s)
            return self._read_by_keys(file, f", since SYNC was refused ({_reason_in(refused)})")

    def _describe(self, name: str, server: Server, doing: Doing) -> Instance:
        try:
            server.ask("PING")
        except Refusal as refusal:
            # Whoever is loading, or has lost its primary, tells so to PING, and answers INFO all the same.
            if refusal.code not in ("LOADING", "MASTERDOWN", "MISCONF", "BUSY", "NOPERM"):
                raise
        facts = NodeFacts.ask(server)
        check_kind(facts, doing)
        members = (
            () if facts.is_loading else tuple(address for address, _ in find_addresses(server, facts, self._access))
        )
        return Instance(
            provider=LIVE_PROVIDER,
            name=name,
            engine=facts.engine,
            status="loading" if facts.is_loading else "available",
            available=not facts.is_loading,
            backup_retention_days=0,
            backup_window="",
            members=members,
        )

    def _begin(self, file: LiveFile) -> tuple[Server, NodeFacts, Standing]:
        """A connection to a shard's server, which still holds the slots that were planned."""
        server = self._connector.connect(file.address)
        doing = Doing("Beginning to read", file.address)
        try:
            with translated(doing):
                facts = NodeFacts.ask(server)
                check_ready(facts, doing)
                standing = Standing.ask(server, facts)
            if standing.is_moving or standing.slots != file.shard.slots:
                raise resharded(doing)
        except BaseException:
            server.close()
            raise
        return server, facts, standing

    def _read_at_once(self, file: LiveFile) -> LiveStream:
        server, facts, standing = self._begin(file)

        def check_end() -> None:
            if facts.is_cluster:
                self._check_unchanged(file.address, standing)

        reason = f"the shard's data{', from a replica,' if facts.is_replica else ''} are of one moment"
        try:
            return full_sync.begin(server, facts, self._clock, check_end, reason)
        except BaseException:
            server.close()
            raise

    def _check_unchanged(self, address: str, standing: Standing) -> None:
        """Raise ServerLost unless a server still is what it was when its stream began."""
        server = self._connector.connect(address)
        doing = Doing("Having read", address, is_begun=True)
        try:
            with translated(doing):
                check_unchanged(standing, Standing.ask(server, NodeFacts.ask(server)), doing)
        finally:
            server.close()

    def _read_by_keys(self, file: LiveFile, why: str = "") -> LiveStream:
        server, facts, standing = self._begin(file)
        try:
            check_countable(facts, file.address)
        except BaseException:
            server.close()
            raise
        if facts.is_replica:
            why = f", from a replica{why}"
        reader = KeyReader(
            server,
            KeyPace(self._clock, self._access.keys_per_second),
            is_cluster=facts.is_cluster,
            knows_expiry_times=facts.redis_version >= (7, 0),
            ask_again=lambda: self._connector.connect(file.address),
        )
        return LogicalStream(server, LogicalReading(server, reader, facts, standing, self._clock, why))


def _reason_in(refused: SyncRefused) -> str:
    return refused.message.partition(": ")[2].rstrip(".")
