"""What the local MemoryDB exports, and what it refuses to."""

from __future__ import annotations

from tests.contract.elasticache_place import wait_for
from tests.contract.managed_place import REQUIRED_ACTIONS, digest_of, keys_in, make_export_bucket, refusal
from tests.contract.memorydb_place import ACLS, BUCKET, PRINCIPAL, Place, place
from tests.local_cloud.dataset import digest

__all__ = ["place"]

KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
INVALID = "InvalidParameterValueException"


def test_an_export_writes_one_whole_file_a_shard_and_leaves_no_record(place: Place) -> None:
    sources = [digest(port) for port in place.guard.ports("ledger")]
    place.guard.take_manual_backup("filled", "ledger")
    place.guard.hold_exports(True)
    try:
        assert place.export("filled", "Attempt-1")["Status"] == "copying"
        assert refusal(place.export, source="filled", target="attempt-2")[0] == "InvalidSnapshotStateFault"
    finally:
        place.guard.hold_exports(False)
    place.wait_until_available("filled")
    keys = keys_in(place.s3, BUCKET, "attempt-")
    assert keys == ["attempt-1-0001.rdb", "attempt-1-0002.rdb"]
    assert [digest_of(place.s3, BUCKET, key) for key in keys] == sources
    assert set(sources[0].types) == {"string", "list", "set", "hash", "zset", "stream"}
    assert refusal(place.memorydb.describe_snapshots, SnapshotName="attempt-1")[0] == "SnapshotNotFoundFault"


def test_an_automatic_snapshot_is_exported_as_well(place: Place) -> None:
    name = place.guard.take_automatic_backup("ledger")
    place.export(name, "from-automatic")
    place.wait_until_available(name)
    assert len(keys_in(place.s3, BUCKET, "from-automatic")) == 2


def test_an_export_refuses_the_buckets_that_the_service_refuses(place: Place) -> None:
    place.guard.take_manual_backup("refused", "ledger")
    elsewhere = {"LocationConstraint": "eu-central-1"}
    place.s3.create_bucket(Bucket="memorydb-far-away", CreateBucketConfiguration=elsewhere)
    halves = [action for action in REQUIRED_ACTIONS if action != "s3:GetBucketAcl"]
    make_export_bucket(place.s3, "memorydb-half-granted", PRINCIPAL, halves, ACLS)
    make_export_bucket(
        place.s3, "memorydb-other-service", "us-east-1.elasticache-snapshot.amazonaws.com", ownership=ACLS
    )
    make_export_bucket(place.s3, "memorydb-enforced", PRINCIPAL, ownership="BucketOwnerEnforced")
    make_export_bucket(place.s3, "memorydb-unsaid", PRINCIPAL)
    make_export_bucket(place.s3, "memorydb-of-others", PRINCIPAL, ownership=ACLS)
    place.guard.disown("memorydb-of-others")
    place.s3.put_object(Bucket=BUCKET, Key="taken-0002.rdb", Body=b"x")
    without_acls = "The bucket does not allow ACLs: its Object Ownership must be BucketOwnerPreferred."
    expected = {
        "memorydb-no-such": "The S3 bucket memorydb-no-such does not exist.",
        "memorydb-far-away": "The S3 bucket memorydb-far-away is outside of the region.",
        "memorydb-half-granted": "MemoryDB has not been granted READ_ACP permissions s3:GetBucketAcl on the S3 Bucket.",
        "memorydb-other-service": "MemoryDB has not been granted READ permissions s3:ListBucket, s3:GetObject on the "
        "S3 Bucket.",
        "memorydb-enforced": without_acls,
        "memorydb-unsaid": without_acls,
        "memorydb-of-others": "The S3 bucket memorydb-of-others is not owned by the authenticated user.",
        BUCKET: f"The S3 bucket {BUCKET} already contains an object with key taken-0002.rdb.",
    }
    found = {bucket: refusal(place.export, source="refused", target="Taken", bucket=bucket) for bucket in expected}
    assert found == {bucket: (INVALID, message) for bucket, message in expected.items()}
    assert place.snapshot("refused")["Status"] == "available"


def test_an_export_refuses_what_the_service_refuses(place: Place) -> None:
    place.guard.take_manual_backup("kept", "ledger")
    assert refusal(place.export, source="no-such", target="x")[0] == "SnapshotNotFoundFault"
    assert refusal(place.export, source="kept", target="a/b")[0] == INVALID
    assert refusal(place.export, source="kept", target="x", bucket="a/b")[0] == INVALID
    code, _ = refusal(place.export, source="kept", target="x", KmsKeyId=KEY)
    assert code == "InvalidParameterCombinationException"
    place.create("kept-by-key", KmsKeyId=KEY)
    place.wait_until_available("kept-by-key")
    place.guard.disable_key(KEY)
    assert refusal(place.export, source="kept-by-key", target="x") == (INVALID, f"The KMS key {KEY} is disabled.")
    place.guard.disable_key(KEY, False)


def test_a_cluster_with_data_tiering_is_backed_up_but_not_exported(place: Place) -> None:
    place.memorydb.create_cluster(
        ClusterName="tiered", NodeType="db.r6gd.xlarge", ACLName="open-access", DataTiering=True
    )
    place.guard.take_manual_backup("tiered-now", "tiered")
    assert place.snapshot("tiered-now")["DataTiering"] == "true"
    code, message = refusal(place.export, source="tiered-now", target="x")
    assert (code, "data tiering" in message) == (INVALID, True)


def test_a_snapshot_that_expires_in_its_export_leaves_what_was_written(place: Place) -> None:
    place.guard.take_manual_backup("expiring", "ledger")
    place.guard.hold_exports(True, after_files=1)
    try:
        place.export("expiring", "cut")
        wait_for(lambda: keys_in(place.s3, BUCKET, "cut") == ["cut-0001.rdb"])
        place.guard.expire("expiring")
    finally:
        place.guard.hold_exports(False)
    assert refusal(place.memorydb.describe_snapshots, SnapshotName="expiring")[0] == "SnapshotNotFoundFault"
    assert keys_in(place.s3, BUCKET, "cut") == ["cut-0001.rdb"]


def test_a_damaged_shard_is_exported_damaged_until_it_is_repaired(place: Place) -> None:
    place.guard.take_manual_backup("hurt", "ledger")
    whole = place.guard.backup_files("hurt")["0002"].read_bytes()
    place.guard.damage("hurt", "0002", "flip", 50)
    place.export("hurt", "hurt-1")
    place.wait_until_available("hurt")
    hurt = place.s3.get_object(Bucket=BUCKET, Key="hurt-1-0002.rdb")["Body"].read()
    assert (hurt[50] ^ whole[50], len(hurt)) == (1, len(whole))
    place.guard.repair("hurt")
    place.export("hurt", "hurt-2")
    place.wait_until_available("hurt")
    assert place.s3.get_object(Bucket=BUCKET, Key="hurt-2-0002.rdb")["Body"].read() == whole
