"""What requests to ElastiCache and MemoryDB need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.local_cloud.permissions.calls import UnknownCallError
from tests.local_cloud.permissions.needs import Need, Parameters, Place, Table, tag_context

# --------------------------------------------------------------------------------------------------- ElastiCache
# Sources: the reference for Amazon ElastiCache, with the dependent actions of CopySnapshot; "Exporting a backup", by
# which the caller of an export, of either kind, needs s3:ListAllMyBuckets and s3:GetBucketLocation as well.


def _on_kind(action: str, kind: str, parameter: str) -> Callable[[Parameters, Place], list[Need]]:
    def needs(asked: Parameters, place: Place) -> list[Need]:
        return [Need(f"elasticache:{action}", place.arn("elasticache", f"{kind}:{asked.get(parameter, '*')}"))]

    return needs


def _on_arn(service: str, action: str, parameter: str) -> Callable[[Parameters, Place], list[Need]]:
    return lambda asked, _: [Need(f"{service}:{action}", asked[parameter])]


def _form_tags(asked: Parameters) -> dict[str, str]:
    """Return the tags that a form sets: `Tags.Tag.1.Key` and `Tags.Tag.1.Value`."""
    stems = [name.removesuffix(".Key") for name in asked if name.startswith("Tags.Tag.") and name.endswith(".Key")]
    return {asked[f"{stem}.Key"]: asked.get(f"{stem}.Value", "") for stem in stems}


def _make(action: str, arns: Iterable[str], made: str, tags: dict[str, str]) -> Iterator[Need]:
    """Return the needs to make something; its tags need AddTagsToResource as well (the reference's operations)."""
    for arn in (*arns, made):
        yield Need(f"elasticache:{action}", arn, tag_context(tags))
    if tags:
        yield Need("elasticache:AddTagsToResource", made, tag_context(tags))


def _create_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    if "KmsKeyId" in asked:
        raise UnknownCallError("CreateSnapshot with KmsKeyId")
    kinds = {"CacheClusterId": "cluster", "ReplicationGroupId": "replicationgroup"}
    owners = [place.arn("elasticache", f"{kind}:{asked[name]}") for name, kind in kinds.items() if name in asked]
    made = place.arn("elasticache", f"snapshot:{asked['SnapshotName']}")
    return _make("CreateSnapshot", owners, made, _form_tags(asked))


def _create_serverless_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    if "KmsKeyId" in asked:
        raise UnknownCallError("CreateServerlessCacheSnapshot with KmsKeyId")
    cache = place.arn("elasticache", f"serverlesscache:{asked['ServerlessCacheName']}")
    made = place.arn("elasticache", f"serverlesscachesnapshot:{asked['ServerlessCacheSnapshotName']}")
    return _make("CreateServerlessCacheSnapshot", [cache], made, _form_tags(asked))


def _describe_serverless_snapshots(asked: Parameters, place: Place) -> Iterator[Need]:
    action = "elasticache:DescribeServerlessCacheSnapshots"
    name = asked.get("ServerlessCacheSnapshotName", "*")
    yield Need(action, place.arn("elasticache", f"serverlesscachesnapshot:{name}"))
    # The cache is a resource of this action only where the request names one.
    if cache := asked.get("ServerlessCacheName"):
        yield Need(action, place.arn("elasticache", f"serverlesscache:{cache}"))


def _add_tags(asked: Parameters, _: Place) -> list[Need]:
    return [Need("elasticache:AddTagsToResource", asked["ResourceName"], tag_context(_form_tags(asked)))]


def _export_to(bucket: str, key: str) -> Iterator[Need]:
    arn = f"arn:aws:s3:::{bucket}"
    yield Need("s3:ListAllMyBuckets", "*")
    yield Need("s3:GetBucketLocation", arn)
    yield Need("s3:GetBucketAcl", arn)
    for action in ("s3:PutObject", "s3:DeleteObject"):
        yield Need(action, f"{arn}/{key}")


def _copy_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    if "KmsKeyId" in asked or any(name.startswith("Tags.") for name in asked):
        raise UnknownCallError("CopySnapshot with KmsKeyId or Tags")
    for parameter in ("SourceSnapshotName", "TargetSnapshotName"):
        yield Need("elasticache:CopySnapshot", place.arn("elasticache", f"snapshot:{asked[parameter]}"))
    if bucket := asked.get("TargetBucket"):
        # Each shard's file goes on after the target's name.
        yield from _export_to(bucket, f"{asked['TargetSnapshotName']}-0001.rdb")


def _export_serverless_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    name = asked["ServerlessCacheSnapshotName"]
    yield Need("elasticache:ExportServerlessCacheSnapshot", place.arn("elasticache", f"serverlesscachesnapshot:{name}"))
    # How the objects are named is not documented, beyond that the snapshot's name is in it.
    yield from _export_to(asked["S3BucketName"], f"{name}-0001.rdb")


ELASTICACHE: Table = {
    "AddTagsToResource": _add_tags,
    "CopySnapshot": _copy_snapshot,
    "CreateServerlessCacheSnapshot": _create_serverless_snapshot,
    "CreateSnapshot": _create_snapshot,
    "DeleteServerlessCacheSnapshot": _on_kind(
        "DeleteServerlessCacheSnapshot", "serverlesscachesnapshot", "ServerlessCacheSnapshotName"
    ),
    "DeleteSnapshot": _on_kind("DeleteSnapshot", "snapshot", "SnapshotName"),
    "DescribeCacheClusters": _on_kind("DescribeCacheClusters", "cluster", "CacheClusterId"),
    "DescribeEvents": lambda _, __: [Need("elasticache:DescribeEvents", "*")],
    "DescribeReplicationGroups": _on_kind("DescribeReplicationGroups", "replicationgroup", "ReplicationGroupId"),
    "DescribeServerlessCacheSnapshots": _describe_serverless_snapshots,
    "DescribeServerlessCaches": _on_kind("DescribeServerlessCaches", "serverlesscache", "ServerlessCacheName"),
    "DescribeSnapshots": _on_kind("DescribeSnapshots", "snapshot", "SnapshotName"),
    "ExportServerlessCacheSnapshot": _export_serverless_snapshot,
    "ListTagsForResource": _on_arn("elasticache", "ListTagsForResource", "ResourceName"),
}

# ------------------------------------------------------------------------------------------------------ MemoryDB
# Sources: the reference for Amazon MemoryDB; "Exporting a snapshot", which lists what its caller needs of S3.


def _on(action: str, kind: str, parameter: str) -> Callable[[Parameters, Place], list[Need]]:
    def needs(asked: Parameters, place: Place) -> list[Need]:
        return [Need(f"memorydb:{action}", place.arn("memorydb", f"{kind}/{asked.get(parameter) or '*'}"))]

    return needs


def _create_memorydb_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    if "KmsKeyId" in asked:
        raise UnknownCallError("CreateSnapshot with KmsKeyId")
    tags = {tag["Key"]: tag.get("Value", "") for tag in asked.get("Tags") or ()}
    made = place.arn("memorydb", f"snapshot/{asked['SnapshotName']}")
    for arn in (place.arn("memorydb", f"cluster/{asked['ClusterName']}"), made):
        yield Need("memorydb:CreateSnapshot", arn, tag_context(tags))
    if tags:
        yield Need("memorydb:TagResource", made, tag_context(tags))


def _copy_memorydb_snapshot(asked: Parameters, place: Place) -> Iterator[Need]:
    if {"KmsKeyId", "Tags"} & set(asked):
        raise UnknownCallError("CopySnapshot with KmsKeyId or Tags")
    for parameter in ("SourceSnapshotName", "TargetSnapshotName"):
        yield Need("memorydb:CopySnapshot", place.arn("memorydb", f"snapshot/{asked[parameter]}"))
    if bucket := asked.get("TargetBucket"):
        arn = f"arn:aws:s3:::{bucket}"
        yield Need("s3:ListAllMyBuckets", "*")
        for action in ("s3:GetBucketLocation", "s3:ListBucket"):
            yield Need(action, arn)
        for action in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"):
            # Each shard's file goes on after the target's name.
            yield Need(action, f"{arn}/{asked['TargetSnapshotName']}-0001.rdb")


def _tag(asked: Parameters, _: Place) -> list[Need]:
    tags = {tag["Key"]: tag.get("Value", "") for tag in asked["Tags"]}
    return [Need("memorydb:TagResource", asked["ResourceArn"], tag_context(tags))]


MEMORYDB: Table = {
    "CopySnapshot": _copy_memorydb_snapshot,
    "CreateSnapshot": _create_memorydb_snapshot,
    "DeleteSnapshot": _on("DeleteSnapshot", "snapshot", "SnapshotName"),
    "DescribeClusters": _on("DescribeClusters", "cluster", "ClusterName"),
    "DescribeSnapshots": _on("DescribeSnapshots", "snapshot", "SnapshotName"),
    "ListTags": _on_arn("memorydb", "ListTags", "ResourceArn"),
    "TagResource": _tag,
}
