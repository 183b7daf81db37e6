"""Builds sources, and knows them all. Each is loaded when a rule of its provider needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rdbkeeper.aws.clock import SystemClock
from rdbkeeper.domain.source import SourceAccess
from rdbkeeper.entry.settings import StoreSettings
from rdbkeeper.ports import LiveSource, Source

Client = Callable[[str], Any]
Make = Callable[[SourceAccess, StoreSettings, Client, float | None], Source]


def make_source(
    provider: str, access: SourceAccess, settings: StoreSettings, client: Client, longest_call_s: float | None = None
) -> Source:
    """The source for a provider that lists backups; `client` gives AWS's clients by their services' names.

    With `longest_call_s` no call to another service is repeated, or waited for any longer; AWS's clients know it.
    """
    return MAKERS[provider](access, settings, client, longest_call_s)


def make_live_source(access: SourceAccess, client: Client, longest_s: float) -> LiveSource:
    """The source for a server that is reached directly; reading one shard may take `longest_s` seconds."""
    from rdbkeeper.aws.secrets import Login, read_login
    from rdbkeeper.sources.redis.source import RedisSource

    def login() -> Login:
        return read_login(client("secretsmanager"), access.secret) if access.secret else Login()

    return RedisSource(access, login, SystemClock(), longest_s)


def _make_elasticache(_: SourceAccess, settings: StoreSettings, client: Client, __: float | None) -> Source:
    from rdbkeeper.sources.elasticache.source import ElastiCacheSource

    return ElastiCacheSource(client("elasticache"), lambda: client("s3"), settings.staging_bucket)


def _make_serverless(_: SourceAccess, settings: StoreSettings, client: Client, __: float | None) -> Source:
    from rdbkeeper.sources.elasticache_serverless.exports import Quiet
    from rdbkeeper.sources.elasticache_serverless.source import ServerlessSource

    quiet = Quiet(shortest=settings.export_quiet)
    return ServerlessSource(client("elasticache"), lambda: client("s3"), settings.staging_bucket, quiet)


def _make_memorydb(_: SourceAccess, settings: StoreSettings, client: Client, __: float | None) -> Source:
    from rdbkeeper.sources.memorydb.source import MemoryDbSource

    return MemoryDbSource(client("memorydb"), lambda: client("s3"), settings.staging_bucket)


def _make_tencentdb(
    access: SourceAccess, settings: StoreSettings, client: Client, longest_call_s: float | None
) -> Source:
    from rdbkeeper.aws.secrets import read_api_key
    from rdbkeeper.sources.tencentdb.hosts import DEFAULT_FILE_HOSTS
    from rdbkeeper.sources.tencentdb.source import TencentDbSource

    return TencentDbSource(
        lambda: read_api_key(client("secretsmanager"), access.secret),
        access.region,
        SystemClock(),
        endpoint=settings.tencent_endpoint,
        file_hosts=settings.tencent_file_hosts or DEFAULT_FILE_HOSTS,
        allows_private=settings.allows_private_endpoints,
        longest_call_s=longest_call_s,
    )


MAKERS: Mapping[str, Make] = {
    "elasticache": _make_elasticache,
    "elasticache-serverless": _make_serverless,
    "memorydb": _make_memorydb,
    "tencentdb": _make_tencentdb,
}
