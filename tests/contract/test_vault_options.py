"""How objects are put as a vault's options say, and how they are locked."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rdbkeeper.domain.errors import ObjectExists, StoreMismatch, VaultDenied, VaultUnavailable
from rdbkeeper.domain.vault import Capabilities, LockMode, StoreSum, VaultOptions
from rdbkeeper.ports import Lock, Vault
from rdbkeeper.rdb.checksum import crc64_nvme
from rdbkeeper.vaults.s3 import S3Vault
from tests.fakes.vault import MemoryVault
from tests.local_cloud.server import LocalCloud
from tests.stores.running import Servers

UNTIL = (datetime.now(UTC) + timedelta(days=3)).replace(microsecond=0)
KEY = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"
LOCKING = ("s3", "localstack", "ceph")
_buckets = count(1)
Make = Callable[..., tuple[Any, str]]


@pytest.fixture
def made(request: pytest.FixtureRequest, store: str) -> Make:
    """Makes a bucket of the store; gives a client and the bucket's name."""

    def make(**options: Any) -> tuple[Any, str]:
        if store == "s3":
            cloud: LocalCloud = request.getfixturevalue("cloud")
            client = cloud.client("s3", config=Config(request_checksum_calculation="when_required"))
            bucket = f"options-{next(_buckets)}"
            client.create_bucket(Bucket=bucket, **options)
            return client, bucket
        servers: Servers = request.getfixturevalue("servers")
        return servers.get(store).client(), servers.make_bucket(store, **options)

    return make


@pytest.fixture(params=LOCKING)
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", *LOCKING])
def locking(request: pytest.FixtureRequest) -> Vault:
    if request.param == "memory":
        return MemoryVault(capabilities=Capabilities(locks=True), lock_days=3)
    if request.param == "s3":
        cloud: LocalCloud = request.getfixturevalue("cloud")
        client, bucket = cloud.client("s3"), f"locking-{next(_buckets)}"
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        return S3Vault(lambda: client, bucket, Capabilities(locks=True), VaultOptions(lock_days=3))
    servers: Servers = request.getfixturevalue("servers")
    client = servers.get(request.param).client()
    bucket = servers.make_bucket(request.param, ObjectLockEnabledForBucket=True)
    honours = replace(servers.capabilities(request.param), locks=True)
    return S3Vault(lambda: client, bucket, honours, VaultOptions(lock_days=3))


def test_an_object_is_locked_until_a_moment_and_no_lock_is_shortened(locking: Vault) -> None:
    locking.create_object("k", b"body", "text/plain")
    assert locking.find_lock("k") is None
    locking.lock_object("k", UNTIL)
    assert locking.find_lock("k") == Lock(UNTIL)
    locking.lock_object("k", UNTIL - timedelta(days=1))
    assert locking.find_lock("k") == Lock(UNTIL)
    locking.lock_object("k", UNTIL + timedelta(days=1))
    assert locking.find_lock("k") == Lock(UNTIL + timedelta(days=1))


def test_a_removal_hides_even_a_locked_object(locking: Vault) -> None:
    """Which is why flows read the lock first."""
    locking.create_object("k", b"body", "text/plain")
    locking.lock_object("k", UNTIL)
    found = locking.find_object("k")
    assert found is not None
    locking.remove_object("k", found.etag)
    assert locking.find_object("k") is None


def test_a_legal_hold_is_a_lock_without_an_end(made: Make) -> None:
    client, bucket = made(ObjectLockEnabledForBucket=True)
    vault = S3Vault(lambda: client, bucket, Capabilities(locks=True))
    client.put_object(Bucket=bucket, Key="k", Body=b"body")
    vault.lock_object("k", UNTIL)
    client.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"})
    assert vault.find_lock("k") == Lock(UNTIL, is_legal_hold=True)


def test_in_a_bucket_that_cannot_lock_nothing_is_locked(made: Make) -> None:
    client, bucket = made()
    client.put_object(Bucket=bucket, Key="k", Body=b"body")
    assert S3Vault(lambda: client, bucket, Capabilities(locks=True)).find_lock("k") is None


def test_a_lock_that_must_not_be_read_is_a_denial(cloud: LocalCloud) -> None:
    client = cloud.client("s3")
    client.create_bucket(Bucket="unreadable-locks", ObjectLockEnabledForBucket=True)
    client.put_object(Bucket="unreadable-locks", Key="k", Body=b"body")
    vault = S3Vault(lambda: client, "unreadable-locks", Capabilities(locks=True))
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):
        cloud.s3.deny(operation, "")
        with pytest.raises(VaultDenied, match=f"s3:{operation}"):
            vault.find_lock("k")
        cloud.s3.forgive()


# -- storage class, encryption and tags


def test_data_have_the_storage_class_and_tags_and_manifests_the_tags_alone(made: Make, store: str) -> None:
    if store == "ceph":
        pytest.skip("a gateway has the storage classes that its owner makes")
    client, bucket = made()
    options = VaultOptions(storage_class="STANDARD_IA", tags=(("owner", "orders + co = 1"), ("stage", "prod")))
    vault = S3Vault(lambda: client, bucket, options=options)
    upload = vault.open_upload("data")
    part = vault.put_part(upload, 1, memoryview(b"bytes"), crc64_nvme(b"bytes"))
    vault.complete_upload(upload, [part], 5, crc64_nvme(b"bytes"))
    vault.create_object("manifest", b"{}", "application/json")
    assert client.head_object(Bucket=bucket, Key="data")["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in client.head_object(Bucket=bucket, Key="manifest")
    for key in ("data", "manifest"):
        tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        assert sorted((tag["Key"], tag["Value"]) for tag in tags) == list(options.tags)


# -- what is sent, to a client that only notes it


class Noting:
    """A client that answers what it was told to, and notes what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.asked: dict[str, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        def call(**asked: Any) -> Any:
            self.asked[name] = asked
            answer = self._answers.get(name, {})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


MD5_OF_BYTES = '"4b3a6218bb3e3a7303e8a171a60fcf92"'
ABSENT = ClientError({"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "HeadObject")


def test_a_kms_key_goes_with_data_and_manifests() -> None:
    client = Noting(create_multipart_upload={"UploadId": "u"}, put_object={"ETag": MD5_OF_BYTES})
    vault = S3Vault(lambda: client, "b", options=VaultOptions(kms_key=KEY), owner="000000000000")
    vault.open_upload("data")
    vault.create_object("manifest", b"{}", "application/json")
    for asked in client.asked.values():
        assert (asked["ServerSideEncryption"], asked["SSEKMSKeyId"], asked["BucketKeyEnabled"]) == (
            "aws:kms",
            KEY,
            True,
        )
        assert asked["ExpectedBucketOwner"] == "000000000000"


@pytest.mark.parametrize("kind", [StoreSum.PART_MD5, StoreSum.NONE])
def test_a_store_without_crc64nvme_is_sent_no_header_of_it(kind: StoreSum) -> None:
    client = Noting(
        create_multipart_upload={"UploadId": "u"},
        upload_part={"ETag": MD5_OF_BYTES},
        put_object={"ETag": MD5_OF_BYTES},
        head_object={"ContentLength": 5, "ETag": '"1f5c4b4de5f2a3a7fbb4d5a1f5d4fbb1-1"'},
    )
    vault = S3Vault(lambda: client, "b", Capabilities(kind))
    upload = vault.open_upload("data")
    part = vault.put_part(upload, 1, memoryview(b"bytes"), crc64_nvme(b"bytes"))
    vault.create_object("manifest", b"bytes", "application/json")
    try:
        vault.complete_upload(upload, [part], 5, crc64_nvme(b"bytes"))
    except ObjectExists:
        assert kind is StoreSum.PART_MD5  # for the tag that it is told is not that of its part
    sent = {name for asked in client.asked.values() for name in asked}
    assert not {name for name in sent if "Checksum" in name or name == "MpuObjectSize"}
    assert ("ContentMD5" in sent) == (kind is StoreSum.PART_MD5)


def test_a_part_that_the_store_answers_with_another_md5_is_put_again() -> None:
    client = Noting(
        upload_part={"ETag": '"00000000000000000000000000000000"'}, create_multipart_upload={"UploadId": "u"}
    )
    vault = S3Vault(lambda: client, "b", Capabilities(StoreSum.PART_MD5))
    with pytest.raises(VaultUnavailable, match="another MD5"):
        vault.put_part(vault.open_upload("k"), 1, memoryview(b"bytes"), 0)


def test_without_conditions_none_is_sent_and_what_is_there_is_looked_at() -> None:
    honours = Capabilities(
        StoreSum.NONE,
        conditional_create=False,
        conditional_complete=False,
        conditional_delete=False,
        conditional_read=False,
    )
    client = Noting(head_object={"ContentLength": 5, "ETag": '"there"'}, create_multipart_upload={"UploadId": "u"})
    vault = S3Vault(lambda: client, "b", honours)
    with pytest.raises(ObjectExists):
        vault.create_object("k", b"bytes", "text/plain")
    with pytest.raises(ObjectExists):
        vault.complete_upload(vault.open_upload("k"), [], 5, 0)
    with pytest.raises(StoreMismatch):
        vault.remove_object("k", '"another"')
    assert not {"put_object", "complete_multipart_upload", "delete_object"} & set(client.asked)
    vault.remove_object("k", '"there"')
    assert "IfMatch" not in client.asked["delete_object"]


def test_without_conditions_a_write_that_was_overtaken_is_noticed() -> None:
    answers = iter([ABSENT, {"ContentLength": 9, "ETag": '"another"'}])

    class Overtaken(Noting):
        def head_object(self, **_: Any) -> Any:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

    client = Overtaken(put_object={"ETag": '"ours"'})
    with pytest.raises(ObjectExists):
        S3Vault(lambda: client, "b", Capabilities(StoreSum.NONE, conditional_create=False)).create_object(
            "k", b"b", "t"
        )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"ETag": '"another"', "ContentLength": 4}, "another object"),
        ({"ETag": '"e"', "ContentLength": 900}, "4 bytes were wanted, and the store sends 900"),
        ({"ETag": '"e"', "ContentLength": 4, "ContentRange": "bytes 0-3/900"}, "another range"),
    ],
)
def test_an_answer_of_another_object_or_range_is_not_taken_for_the_one_that_was_wanted(
    answer: dict[str, Any], reason: str
) -> None:
    body = io.BytesIO(b"body")
    client = Noting(get_object={**answer, "Body": body})
    with pytest.raises(StoreMismatch, match=reason):
        S3Vault(lambda: client, "b", Capabilities(conditional_read=False)).open_range("k", '"e"', 8, 4)
    assert body.closed
    assert "IfMatch" not in client.asked["get_object"]


def test_the_mode_of_a_lock_is_the_vault_s() -> None:
    client = Noting()
    vault = S3Vault(lambda: client, "b", Capabilities(locks=True), VaultOptions(lock_mode=LockMode.COMPLIANCE))
    vault.lock_object("k", UNTIL)
    assert client.asked["put_object_retention"]["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": UNTIL}
