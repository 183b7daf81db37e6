"""What every source keeps about files that runs have staged and nobody has discarded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rdbkeeper.domain.backup import Backup
from rdbkeeper.sources.elasticache import ElastiCacheSource
from tests.contract.source_lab import (
    FIRST_NIGHT,
    Provider,
    elasticache,
    only_backup,
    pair,
    provider,
    staging_bucket,
    wait_for_files,
)
from tests.fakes.source import MemorySource
from tests.local_cloud.server import LocalCloud

__all__ = ["elasticache", "provider", "staging_bucket"]

RULE, OTHER_RULE = "0a1b2c3d", "ffffffff"
CHAIN, OTHER_CHAIN = "11111111", "22222222"
COPY = "0123456789ab"


def stage(provider: Provider, *attempts: str) -> Backup:
    provider.take_backup("night", FIRST_NIGHT)
    backup = only_backup(provider.source)
    for attempt in attempts:
        provider.source.request_export(backup, attempt)
        wait_for_files(provider.source, backup, attempt)
    return backup


def far_from_now(provider: Provider) -> datetime:
    """A moment before which everything was staged."""
    now = provider.source.clock.now() if isinstance(provider.source, MemorySource) else datetime.now(UTC)
    return now + timedelta(minutes=1)


def test_what_a_rules_earlier_chains_staged_is_removed_and_named(provider: Provider) -> None:
    attempt = f"{RULE}{OTHER_CHAIN}{COPY}"
    backup = stage(provider, attempt)
    names = provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider))
    assert len(names) == 2 and all(attempt in name and name.endswith(".rdb") for name in names)
    assert provider.source.find_staged_files(backup, attempt) is None
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []


def test_what_this_chain_and_other_rules_staged_stays(provider: Provider) -> None:
    own, others = f"{RULE}{CHAIN}{COPY}", f"{OTHER_RULE}{OTHER_CHAIN}{COPY}"
    backup = stage(provider, own, others)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []
    assert provider.source.find_staged_files(backup, own) is not None
    assert provider.source.find_staged_files(backup, others) is not None


def test_what_was_staged_after_the_moment_stays(provider: Provider) -> None:
    attempt = f"{RULE}{OTHER_CHAIN}{COPY}"
    backup = stage(provider, attempt)
    before = far_from_now(provider) - timedelta(hours=1)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, before) == []
    assert provider.source.find_staged_files(backup, attempt) is not None


def test_names_that_only_begin_like_ours_stay(provider: Provider) -> None:
    """The instance `pair`'s exports and `pair-0a1b…`'s begin alike, and so may a person's own."""
    foreign = [f"{RULE}{OTHER_CHAIN}{COPY}-more", f"{RULE}-by-hand", f"{RULE}{OTHER_CHAIN}{COPY}0"]
    backup = stage(provider, *foreign)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []
    for attempt in foreign:
        assert provider.source.find_staged_files(backup, attempt) is not None


def test_another_instance_whose_name_goes_on_where_this_one_ends_keeps_its_own(
    elasticache: ElastiCacheSource, cloud: LocalCloud, staging_bucket: str
) -> None:
    key = f"rdbkeeper-pair-b-{RULE}{OTHER_CHAIN}{COPY}-0001.rdb"
    cloud.client("s3").put_object(Bucket=staging_bucket, Key=key, Body=b"another instance's")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert elasticache.discard_leftovers(pair(elasticache), RULE, CHAIN, later) == []
    assert cloud.client("s3").head_object(Bucket=staging_bucket, Key=key)["ContentLength"] > 0
