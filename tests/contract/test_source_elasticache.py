"""What only ElastiCache has: two kinds of instances, exports that take a while, and answers of its own."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest
from botocore.stub import Stubber

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance
from rdbkeeper.domain.errors import BackupBusy, SourceDenied, SourceError, SourceRefused
from rdbkeeper.sources.elasticache.answers import find_what_to_back_up
from rdbkeeper.sources.elasticache.source import ElastiCacheSource
from tests.contract.aws_source_places import ElastiCache, elasticache
from tests.contract.source_lab import FIRST_NIGHT, only_backup, pair, wait_for_files
from tests.contract.test_source_on_demand import NAME, TAGS

__all__ = ["elasticache"]


def test_a_backup_list_of_several_pages_is_whole(elasticache: ElastiCache) -> None:
    names = [f"many-{n:02d}" for n in range(60)]
    for n, name in enumerate(names):
        elasticache.cloud.elasticache.take_manual_backup(name, "pair", FIRST_NIGHT + timedelta(hours=n))
    listed = [backup.backup_id for backup in elasticache.source.backups(pair(elasticache.source))]
    assert sorted(listed) == names


def test_an_instance_without_cluster_mode_has_its_backups_too(
    elasticache: ElastiCache,
) -> None:
    elasticache.client.create_replication_group(
        ReplicationGroupId="single",
        ReplicationGroupDescription="one shard",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        NumCacheClusters=2,
        SnapshotRetentionLimit=1,
    )
    name = elasticache.cloud.elasticache.take_automatic_backup("single", FIRST_NIGHT)
    instance = elasticache.source.find_instance("single")
    assert instance is not None
    (backup,) = elasticache.source.backups(instance)
    assert (backup.backup_id, backup.automatic, backup.engine.cluster_mode) == (name, True, False)
    assert len(backup.shards) == 1
    assert elasticache.source.backups(pair(elasticache.source)) == []


def test_a_node_of_its_own_is_an_instance_and_memcached_is_none(
    elasticache: ElastiCache,
) -> None:
    client = elasticache.client
    for cluster, engine in (("alone", "redis"), ("other", "memcached")):
        client.create_cache_cluster(
            CacheClusterId=cluster, Engine=engine, CacheNodeType="cache.t4g.small", NumCacheNodes=1
        )
    alone = elasticache.source.find_instance("alone")
    assert alone is not None
    assert not alone.backups_enabled
    with pytest.raises(SourceRefused, match="other runs memcached"):
        elasticache.source.find_instance("other")
    listed = [instance.name for instance in elasticache.source.instances()]
    assert "alone" in listed
    assert "other" not in listed
    assert not any(name.startswith("pair-") for name in listed)


def test_a_member_of_a_group_is_no_instance_of_its_own(elasticache: ElastiCache) -> None:
    assert elasticache.source.find_instance(pair(elasticache.source).members[0]) is None


def test_a_node_that_is_named_like_a_member_but_is_none_is_another_instance(
    elasticache: ElastiCache,
) -> None:
    client = elasticache.client
    for name, nodes in (("like", 1), ("like-001-x", 1)):
        client.create_replication_group(
            ReplicationGroupId=name,
            ReplicationGroupDescription="one shard",
            Engine="redis",
            CacheNodeType="cache.t4g.small",
            NumCacheClusters=nodes,
            SnapshotRetentionLimit=1,
        )
    client.create_cache_cluster(
        CacheClusterId="like-009",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        NumCacheNodes=1,
        SnapshotRetentionLimit=1,
    )
    mine = elasticache.cloud.elasticache.take_automatic_backup("like", FIRST_NIGHT)
    elasticache.cloud.elasticache.take_automatic_backup("like-009", FIRST_NIGHT)
    elasticache.cloud.elasticache.take_automatic_backup("like-001-x", FIRST_NIGHT)
    instance = elasticache.source.find_instance("like")
    assert instance is not None
    assert [backup.backup_id for backup in elasticache.source.backups(instance)] == [mine]
    everybody = {each.name: each for each in elasticache.source.instances() if each.name.startswith("like")}
    one_each = {"like": 1, "like-001-x": 1, "like-009": 1}
    assert elasticache.source.count_backups(list(everybody.values())) == one_each
    assert elasticache.source.count_backups([everybody["like"]]) == {"like": 1}


def test_an_export_that_the_service_knows_by_our_name_was_asked_for_already() -> None:
    stub_client = boto3.client("elasticache", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    source = ElastiCacheSource(stub_client, lambda: None, "staging")
    backup = Backup("elasticache", "pair", "night", BackupState.COMPLETE, True, FIRST_NIGHT, (), EngineFacts())
    with Stubber(stub_client) as stub:
        stub.add_client_error("copy_snapshot", "SnapshotAlreadyExistsFault")
        source.request_export(backup, "attempt")
        stub.assert_no_pending_responses()


def test_files_that_are_all_there_while_the_service_is_still_exporting_are_not_read_yet(
    elasticache: ElastiCache,
) -> None:
    elasticache.cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache.source)
    elasticache.source.request_export(backup, "first")
    wait_for_files(elasticache.source, backup, "first")
    elasticache.cloud.elasticache.hold_exports(True)
    # The backup is `exporting` again, and the first one's files are there.
    elasticache.source.request_export(backup, "second")
    assert elasticache.source.find_staged_files(backup, "first") is None
    elasticache.cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache.source, backup, "first")


def test_a_backup_being_made_is_in_progress(elasticache: ElastiCache) -> None:
    elasticache.hold_making(True)
    elasticache.client.create_snapshot(SnapshotName="now", ReplicationGroupId="pair")
    backup = only_backup(elasticache.source)
    assert (backup.state, backup.taken_at, backup.source_size) == (BackupState.IN_PROGRESS, None, "")
    elasticache.hold_making(False)
    elasticache.wait_until_idle("now")
    assert only_backup(elasticache.source).state is BackupState.COMPLETE


def test_a_backup_that_is_being_exported_is_busy_for_another(elasticache: ElastiCache) -> None:
    elasticache.cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache.source)
    elasticache.cloud.elasticache.hold_exports(True)
    elasticache.source.request_export(backup, "first")
    with pytest.raises(BackupBusy):
        elasticache.source.request_export(backup, "second")
    assert elasticache.source.find_staged_files(backup, "first") is None
    elasticache.cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache.source, backup, "first")


def test_a_refused_export_says_what_the_service_said(elasticache: ElastiCache) -> None:
    elasticache.cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache.source)
    elsewhere = ElastiCacheSource(elasticache.client, lambda: elasticache.s3, "no-such-bucket")
    with pytest.raises(SourceRefused, match="no-such-bucket"):
        elsewhere.request_export(backup, "attempt")


def test_a_denied_call_is_a_denied_source(elasticache: ElastiCache) -> None:
    elasticache.cloud.elasticache.deny("DescribeSnapshots")
    with pytest.raises(SourceDenied) as denied:
        elasticache.source.backups(pair(elasticache.source))
    elasticache.cloud.elasticache.allow("DescribeSnapshots")
    assert isinstance(denied.value, SourceError)
    assert "role" in denied.value.hint


def test_the_facts_for_making_the_instance_again_are_kept(elasticache: ElastiCache) -> None:
    elasticache.cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache.source)
    facts = backup.engine
    assert (facts.engine, facts.node_type, facts.cluster_mode) == ("redis", "cache.t4g.small", True)
    assert facts.engine_version
    assert facts.parameter_group == "default.redis7.cluster.on"
    assert facts.replicas_per_shard == 1
    assert [shard.slots for shard in backup.shards] == ["0-8191", "8192-16383"]


def test_the_backups_of_all_instances_are_counted_with_one_listing_of_each_kind() -> None:
    client = boto3.client("elasticache", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(client) as stub:
        stub.add_response("describe_cache_clusters", {"CacheClusters": []}, {})
        stub.add_response("describe_snapshots", {"Snapshots": [{"CacheClusterId": "b"}]}, {})
        instances = [Instance("elasticache", name, "redis", "available", True, 7, "", (name,)) for name in "ab"]
        counted = ElastiCacheSource(client, lambda: None, "staging").count_backups(instances)
        stub.assert_no_pending_responses()
    assert counted == {"a": 0, "b": 1}


# ------------------------------------------------------------------- backups on demand


@pytest.mark.parametrize(
    ("group", "asked"),
    [
        (None, {"CacheClusterId": "orders"}),
        ({"ClusterEnabled": True, "SnapshottingClusterId": "orders-001"}, {"ReplicationGroupId": "orders"}),
        ({"ClusterEnabled": False, "SnapshottingClusterId": "orders-002"}, {"CacheClusterId": "orders-002"}),
        (
            {
                "MemberClusters": ["orders-001", "orders-002"],
                "NodeGroups": [
                    {
                        "NodeGroupMembers": [
                            {"CacheClusterId": "orders-001", "CurrentRole": "primary"},
                            {"CacheClusterId": "orders-002", "CurrentRole": "replica"},
                        ]
                    }
                ],
            },
            {"CacheClusterId": "orders-002"},
        ),
        ({"MemberClusters": ["orders-001"]}, {"CacheClusterId": "orders-001"}),
    ],
)
def test_what_is_backed_up_is_the_whole_group_or_the_node_that_is_spared_least(
    group: dict[str, object] | None, asked: dict[str, str]
) -> None:
    assert find_what_to_back_up("orders", group) == asked


@pytest.mark.parametrize("kind", ["group", "node"])
def test_an_instance_without_cluster_mode_is_backed_up_on_demand_too(elasticache: ElastiCache, kind: str) -> None:
    made = {"Engine": "redis", "CacheNodeType": "cache.t4g.small", "SnapshotRetentionLimit": 1}
    if kind == "group":
        elasticache.client.create_replication_group(
            ReplicationGroupId="demanding", ReplicationGroupDescription="one", NumCacheClusters=2, **made
        )
    else:
        elasticache.client.create_cache_cluster(CacheClusterId="demanding-node", NumCacheNodes=1, **made)
    instance = elasticache.source.find_instance("demanding" if kind == "group" else "demanding-node")
    assert instance is not None
    elasticache.source.request_backup(instance, NAME, TAGS)
    elasticache.wait_until_idle(NAME)
    found = elasticache.source.find_requested_backup(instance, NAME)
    assert found is not None
    assert (found.state, found.instance) == (BackupState.COMPLETE, instance.name)
    assert elasticache.source.find_requested_backup(pair(elasticache.source), NAME) is None
    assert not elasticache.source.remove_backup(pair(elasticache.source), NAME, TAGS)
    assert elasticache.source.remove_backup(instance, NAME, TAGS)
    assert not _is_there(elasticache, NAME)


def _is_there(place: ElastiCache, name: str) -> bool:
    pages = place.client.get_paginator("describe_snapshots").paginate()
    return any(one["SnapshotName"] == name for page in pages for one in page["Snapshots"])
