"""Looks what there is to read of a server or a cluster, and in which way each server lets itself be read."""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.backup import EngineFacts, Shard
from rdbkeeper.domain.errors import SourceRefused, SyncRefused
from rdbkeeper.domain.live import LiveFile, LivePlan
from rdbkeeper.domain.source import SourceAccess, Way
from rdbkeeper.sources.redis.connection import Connector, Server, split_address
from rdbkeeper.sources.redis.logical import too_many_keys
from rdbkeeper.sources.redis.nodes import NodeFacts, check_kind, check_ready, read_primaries
from rdbkeeper.sources.redis.refusals import Doing, Refusal, translated
from rdbkeeper.sources.redis.seen_keys import MOST_KEYS


@dataclass(frozen=True)
class _Node:
    """One server that is to be read, and why it gives its data to no replica, "" where it seems to."""

    shard: Shard
    address: str
    facts: NodeFacts
    no_sync: str


def measure(connector: Connector, access: SourceAccess) -> LivePlan:
    """The plan for the server or the cluster behind an access.

    All shards are read in one way: a copy is as consistent as the least of them. Raises SyncRefused, ServerTooLarge and
    the other errors of a source.
    """
    nodes = _find_nodes(connector, access)
    way, reason = _choose(access.way, nodes)
    files = tuple(
        LiveFile(node.shard, node.address, way, node.facts.size_bytes, sum(node.facts.keys.values())) for node in nodes
    )
    for node in nodes if way is Way.LOGICAL else ():
        check_countable(node.facts, node.address)
    return LivePlan(_engine_of(nodes, access.port), files, reason)


def check_countable(facts: NodeFacts, address: str) -> None:
    """Raise what keeps a server from being read by keys: it does not say how many it holds, or too many to remember."""
    if not facts.tells_keys:
        raise SourceRefused(
            f"The server {address} does not say which databases it has: its INFO has no section Keyspace.",
            hint="So a copy might lack keys. It may be another product that speaks as Redis does, or a proxy: name the "
            "servers behind it.",
        )
    if max(facts.keys.values(), default=0) > MOST_KEYS:
        raise too_many_keys(address)


def find_addresses(server: Server, facts: NodeFacts, access: SourceAccess) -> list[tuple[str, str]]:
    """Address and slots of each server that holds a part of the data; of a single server "" for its slots."""
    if not facts.is_cluster:
        return [(server.address, "")]
    table = server.ask("CLUSTER", "SLOTS")
    primaries = read_primaries(table, split_address(server.address)[0], prefers_names=access.tls)
    return [(primary.address, primary.slots) for primary in primaries]


def _find_nodes(connector: Connector, access: SourceAccess) -> list[_Node]:
    server = connector.connect(access.address)
    doing = Doing("Asking", access.address)
    try:
        with translated(doing):
            facts = NodeFacts.ask(server)
            check_kind(facts, doing)
            found = find_addresses(server, facts, access)
    finally:
        server.close()
    return [
        _look(connector, Shard(f"{number:04d}", slots), address, access.way)
        for number, (address, slots) in enumerate(found, start=1)
    ]


def _look(connector: Connector, shard: Shard, address: str, way: Way) -> _Node:
    server, doing = connector.connect(address), Doing("Asking", address)
    try:
        with translated(doing):
            facts = NodeFacts.ask(server)
            check_ready(facts, doing)
            no_sync = "" if way is Way.LOGICAL else _why_no_sync(server, facts)
            return _Node(shard, address, facts, no_sync)
    finally:
        server.close()


def _why_no_sync(server: Server, facts: NodeFacts) -> str:
    """Why a server will refuse SYNC, as far as it can be known without asking for it; "" where nothing says so."""
    known = _answer(server, "COMMAND", "INFO", "sync")
    if isinstance(known, list) and not any(known):
        return "the server knows no SYNC"
    try:
        server.ask("REPLCONF", "capa", "eof")
    except Refusal as refusal:
        if refusal.is_denied:
            return "the user may not run REPLCONF"
        if refusal.is_unknown:
            return "the server knows no REPLCONF"
    user = _answer(server, "ACL", "WHOAMI") if facts.redis_version >= (7, 0) else None
    if isinstance(user, bytes):
        # "OK", or a sentence on what is not allowed; only users with much power may ask at all ("ACL DRYRUN").
        allowed = _answer(server, "ACL", "DRYRUN", user, "SYNC")
        if isinstance(allowed, bytes) and allowed != b"OK":
            return "the user may not run SYNC"
    return ""


def _answer(server: Server, *words: bytes | str) -> object:
    """The answer, or the refusal, which says as little as no answer here."""
    try:
        return server.ask(*words)
    except Refusal as refusal:
        return refusal


def _choose(way: Way, nodes: list[_Node]) -> tuple[Way, str]:
    if way is Way.LOGICAL:
        return way, "key by key, as the rule says"
    refusing = [node for node in nodes if node.no_sync]
    if not refusing:
        return Way.FULL_SYNC, f"full sync, as {'the rule says' if way is Way.FULL_SYNC else 'the server allows it'}"
    node = refusing[0]
    if way is Way.FULL_SYNC:
        raise SyncRefused(
            f"Asking {node.address} for all its data is of no use: {node.no_sync}.",
            hint="Allow SYNC and REPLCONF to the rule's user, or let the rule's `way` be `logical` or `auto`.",
        )
    return Way.LOGICAL, f"key by key, since {node.no_sync}"


def _engine_of(nodes: list[_Node], port: int) -> EngineFacts:
    first = nodes[0].facts
    return EngineFacts(
        engine=first.engine,
        engine_version=first.engine_version,
        shard_count=len(nodes),
        cluster_mode=first.is_cluster,
        replicas_per_shard=min(node.facts.replicas for node in nodes),
        port=port,
    )
