"""What only ElastiCache has: two kinds of instances, exports that take a while, and answers of its own."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest
from botocore.stub import Stubber

from rdbkeeper.domain.backup import Backup, BackupState, EngineFacts, Instance
from rdbkeeper.domain.errors import BackupBusy, SourceDenied, SourceError, SourceRefused
from rdbkeeper.sources.elasticache import ElastiCacheSource
from tests.contract.source_lab import FIRST_NIGHT, elasticache, only_backup, pair, staging_bucket, wait_for_files
from tests.demo.world import wait_until_available
from tests.local_cloud.server import LocalCloud

__all__ = ["elasticache", "staging_bucket"]


def test_a_backup_list_of_several_pages_is_whole(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    names = [f"many-{n:02d}" for n in range(60)]
    for n, name in enumerate(names):
        cloud.elasticache.take_manual_backup(name, "pair", FIRST_NIGHT + timedelta(hours=n))
    listed = [backup.backup_id for backup in elasticache.backups(pair(elasticache))]
    assert sorted(listed) == names


def test_an_instance_without_cluster_mode_has_its_backups_too(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    cloud.client("elasticache").create_replication_group(
        ReplicationGroupId="single",
        ReplicationGroupDescription="one shard",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        NumCacheClusters=2,
        SnapshotRetentionLimit=1,
    )
    name = cloud.elasticache.take_automatic_backup("single", FIRST_NIGHT)
    instance = elasticache.find_instance("single")
    assert instance is not None
    (backup,) = elasticache.backups(instance)
    assert (backup.backup_id, backup.automatic, backup.engine.cluster_mode) == (name, True, False)
    assert len(backup.shards) == 1
    assert elasticache.backups(pair(elasticache)) == []


def test_a_node_of_its_own_is_an_instance_and_memcached_is_none(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    client = cloud.client("elasticache")
    for cluster, engine in (("alone", "redis"), ("other", "memcached")):
        client.create_cache_cluster(
            CacheClusterId=cluster, Engine=engine, CacheNodeType="cache.t4g.small", NumCacheNodes=1
        )
    alone = elasticache.find_instance("alone")
    assert alone is not None
    assert not alone.backups_enabled
    assert elasticache.find_instance("other") is None
    listed = [instance.name for instance in elasticache.instances()]
    assert "alone" in listed
    assert "other" not in listed
    assert not any(name.startswith("pair-") for name in listed)


def test_a_member_of_a_group_is_no_instance_of_its_own(elasticache: ElastiCacheSource) -> None:
    assert elasticache.find_instance(pair(elasticache).members[0]) is None


def test_a_node_that_is_named_like_a_member_but_is_none_is_another_instance(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    client = cloud.client("elasticache")
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
    mine = cloud.elasticache.take_automatic_backup("like", FIRST_NIGHT)
    cloud.elasticache.take_automatic_backup("like-009", FIRST_NIGHT)
    cloud.elasticache.take_automatic_backup("like-001-x", FIRST_NIGHT)
    instance = elasticache.find_instance("like")
    assert instance is not None
    assert [backup.backup_id for backup in elasticache.backups(instance)] == [mine]
    everybody = {each.name: each for each in elasticache.instances() if each.name.startswith("like")}
    one_each = {"like": 1, "like-001-x": 1, "like-009": 1}
    assert elasticache.count_backups(list(everybody.values())) == one_each
    assert elasticache.count_backups([everybody["like"]]) == {"like": 1}


def test_an_export_that_the_service_knows_by_our_name_was_asked_for_already() -> None:
    stub_client = boto3.client("elasticache", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    source = ElastiCacheSource(stub_client, lambda: None, "staging")
    backup = Backup("elasticache", "pair", "night", BackupState.COMPLETE, True, FIRST_NIGHT, (), EngineFacts())
    with Stubber(stub_client) as stub:
        stub.add_client_error("copy_snapshot", "SnapshotAlreadyExistsFault")
        source.request_export(backup, "attempt")
        stub.assert_no_pending_responses()


def test_files_that_are_all_there_while_the_service_is_still_exporting_are_not_read_yet(
    cloud: LocalCloud, elasticache: ElastiCacheSource
) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    elasticache.request_export(backup, "first")
    wait_for_files(elasticache, backup, "first")
    cloud.elasticache.hold_exports(True)
    elasticache.request_export(backup, "second")  # the backup is `exporting` again, and the first one's files are there
    assert elasticache.find_staged_files(backup, "first") is None
    cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache, backup, "first")


def test_a_backup_being_made_is_in_progress(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    client = cloud.client("elasticache")
    client.create_snapshot(SnapshotName="now", ReplicationGroupId="pair")
    backup = only_backup(elasticache)
    wait_until_available(client, "now")
    assert (backup.state, backup.taken_at, backup.source_size) == (BackupState.IN_PROGRESS, None, "")
    assert only_backup(elasticache).state is BackupState.COMPLETE


def test_a_backup_that_is_being_exported_is_busy_for_another(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    cloud.elasticache.hold_exports(True)
    elasticache.request_export(backup, "first")
    with pytest.raises(BackupBusy):
        elasticache.request_export(backup, "second")
    assert elasticache.find_staged_files(backup, "first") is None
    cloud.elasticache.hold_exports(False)
    wait_for_files(elasticache, backup, "first")


def test_a_refused_export_says_what_the_service_said(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
    elsewhere = ElastiCacheSource(cloud.client("elasticache"), lambda: cloud.client("s3"), "no-such-bucket")
    with pytest.raises(SourceRefused, match="no-such-bucket"):
        elsewhere.request_export(backup, "attempt")


def test_a_denied_call_is_a_denied_source(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.deny("DescribeSnapshots")
    with pytest.raises(SourceDenied) as denied:
        elasticache.backups(pair(elasticache))
    cloud.elasticache.allow("DescribeSnapshots")
    assert isinstance(denied.value, SourceError)
    assert "role" in denied.value.hint


def test_the_facts_for_making_the_instance_again_are_kept(cloud: LocalCloud, elasticache: ElastiCacheSource) -> None:
    cloud.elasticache.take_manual_backup("night", "pair", FIRST_NIGHT)
    backup = only_backup(elasticache)
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
