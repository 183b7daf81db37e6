"""What every source keeps about files that runs have staged and nobody has discarded."""

from __future__ import annotations

from datetime import timedelta

from rdbkeeper.domain.backup import Backup
from tests.contract.aws_source_places import ElastiCache, elasticache, serverless
from tests.contract.source_lab import (
    FIRST_NIGHT,
    Provider,
    far_from_now,
    naming_provider,
    only_backup,
    pair,
    provider,
    wait_for_files,
)

__all__ = ["elasticache", "naming_provider", "provider", "serverless"]

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


def test_what_a_rules_earlier_chains_staged_is_removed_and_named(provider: Provider) -> None:
    attempt = f"{RULE}{OTHER_CHAIN}{COPY}"
    backup = stage(provider, attempt)
    names = provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider))
    assert len(names) == 2 and all(name.endswith(".rdb") for name in names)
    assert provider.source.find_staged_files(backup, attempt) is None
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []


def test_what_this_chain_staged_stays(provider: Provider) -> None:
    own = f"{RULE}{CHAIN}{COPY}"
    backup = stage(provider, own)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []
    assert provider.source.find_staged_files(backup, own) is not None


def test_what_another_rule_staged_stays(provider: Provider) -> None:
    others = f"{OTHER_RULE}{OTHER_CHAIN}{COPY}"
    backup = stage(provider, others)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []
    assert provider.source.find_staged_files(backup, others) is not None


def test_what_this_chain_and_other_rules_staged_side_by_side_stays(naming_provider: Provider) -> None:
    provider = naming_provider
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


def test_what_is_removed_is_named_after_its_attempt(naming_provider: Provider) -> None:
    attempt = f"{RULE}{OTHER_CHAIN}{COPY}"
    stage(naming_provider, attempt)
    source = naming_provider.source
    names = source.discard_leftovers(pair(source), RULE, CHAIN, far_from_now(naming_provider))
    assert len(names) == 2 and all(attempt in name for name in names)


def test_names_that_only_begin_like_ours_stay(naming_provider: Provider) -> None:
    """The instance `pair`'s exports and `pair-0a1b…`'s begin alike, and so may a person's own."""
    provider = naming_provider
    foreign = [f"{RULE}{OTHER_CHAIN}{COPY}-more", f"{RULE}-by-hand", f"{RULE}{OTHER_CHAIN}{COPY}0"]
    backup = stage(provider, *foreign)
    assert provider.source.discard_leftovers(pair(provider.source), RULE, CHAIN, far_from_now(provider)) == []
    for attempt in foreign:
        assert provider.source.find_staged_files(backup, attempt) is not None


def test_another_instance_whose_name_goes_on_where_this_one_ends_keeps_its_own(elasticache: ElastiCache) -> None:
    key = f"rdbkeeper-pair-{RULE}-{RULE}{OTHER_CHAIN}{COPY}-0001.rdb"
    elasticache.s3.put_object(Bucket=elasticache.bucket, Key=key, Body=b"another instance's")
    later = far_from_now(elasticache)
    assert elasticache.source.discard_leftovers(pair(elasticache.source), RULE, CHAIN, later) == []
    assert elasticache.staged() == [key]
