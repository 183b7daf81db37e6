"""The Redis servers behind one managed instance."""

from __future__ import annotations

from collections.abc import Iterable

from tests.local_cloud.engines import Engine, join_cluster


def start_engines(count: int, *, cluster_mode: bool) -> list[Engine]:
    """Return that many running servers, joined to one cluster if in cluster mode; none is left if one fails."""
    engines = [Engine(cluster_mode=cluster_mode) for _ in range(count)]
    try:
        for engine in engines:
            engine.start()
        if cluster_mode:
            join_cluster(engines)
    except BaseException:
        stop_engines(engines)
        raise
    return engines


def stop_engines(engines: Iterable[Engine]) -> None:
    """Stop servers; repeating it is harmless."""
    for engine in engines:
        engine.stop()
