"""A probe finds what a store honours, says what keeps a vault from being used, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rdbkeeper.domain.errors import VaultDenied, VaultError, VaultRefused, VaultUnavailable, VaultUnfit
from rdbkeeper.domain.vault import Capabilities, LockMode, LockState, StoreSum, VaultBinding, VaultOptions
from rdbkeeper.ports import ProbeFindings
from rdbkeeper.vaults.probe import probe
from rdbkeeper.vaults.s3 import S3Vault
from tests.contract.s3_deviations import KNOWN_VERSIONS
from tests.local_cloud.server import LocalCloud
from tests.stores.running import OneClient, Servers, binding_of, probe_server

_buckets = count(1)
# What each server was found to honour, so that a change is noticed.
HONOURED = {
    "ceph": Capabilities(StoreSum.PART_MD5, conditional_complete=False, conditional_delete=False, keeps_versions=False),
    "rclone": Capabilities(
        StoreSum.NONE,
        conditional_create=False,
        conditional_complete=False,
        conditional_delete=False,
        conditional_read=False,
        keeps_versions=False,
    ),
    "localstack": Capabilities(StoreSum.CRC64NVME, conditional_delete=False, keeps_versions=False),
}


@pytest.fixture
def s3(cloud: LocalCloud) -> Iterator[Any]:
    yield cloud.client("s3", config=Config(request_checksum_calculation="when_required"))
    cloud.s3.forgive()


def make_bucket(s3: Any, **options: Any) -> str:
    bucket = f"probed-{next(_buckets)}"
    s3.create_bucket(Bucket=bucket, **options)
    return bucket


def look(s3: Any, binding: VaultBinding, *, closely: bool = True, later: timedelta = timedelta(0)) -> ProbeFindings:
    return probe(OneClient(s3), binding, datetime.now(UTC) + later, closely=closely)


def left_in(s3: Any, bucket: str) -> list[str]:
    vault = S3Vault(lambda: s3, bucket)
    return [found.key for found in vault.find_objects("")] + [upload.key for upload in vault.find_uploads("")]


@pytest.mark.parametrize("name", HONOURED)
def test_a_store_is_found_to_honour_what_it_does_and_nothing_is_left(servers: Servers, name: str) -> None:
    if not servers.get(name).version.startswith(KNOWN_VERSIONS[name]):
        pytest.skip("another version than was asked")
    bucket = servers.make_bucket(name)
    assert probe_server(servers.get(name), bucket).capabilities == HONOURED[name]
    assert left_in(servers.get(name).client(), bucket) == []


@pytest.mark.parametrize("name", HONOURED)
def test_a_light_look_finds_a_store_usable_and_says_nothing_of_what_it_honours(servers: Servers, name: str) -> None:
    bucket = servers.make_bucket(name)
    found = probe_server(servers.get(name), bucket, closely=False)
    assert (found.region, found.capabilities) == ("us-east-1", None)
    assert left_in(servers.get(name).client(), bucket) == []


@pytest.mark.parametrize("name", ["ceph", "rclone"])
def test_wrong_keys_are_denied(servers: Servers, name: str) -> None:
    server, bucket = servers.get(name), servers.make_bucket(name)
    client = server.client("not the secret")
    with pytest.raises(VaultDenied) as denied:
        probe(OneClient(client), binding_of(bucket, server.endpoint), datetime.now(UTC), closely=False)
    assert "access keys" in denied.value.hint and "not the secret" not in str(denied.value)


@pytest.mark.parametrize("name", HONOURED)
def test_a_bucket_that_does_not_exist_is_said_to_be_missing(servers: Servers, name: str) -> None:
    with pytest.raises(VaultRefused, match="There is no bucket missing-bucket"):
        probe_server(servers.get(name), "missing-bucket")


def test_amazon_honours_everything(s3: Any) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    found = look(s3, binding_of(bucket, "", region="us-east-1"))
    assert found == ProbeFindings("us-east-1", Capabilities(locks=True), ())
    assert left_in(s3, bucket) == []


def lock_by_default(s3: Any, bucket: str, **retention: int) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", **retention}}
    s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


@pytest.mark.parametrize("retention, days", [({"Days": 9}, 9), ({"Years": 2}, 730)])
def test_for_how_long_a_bucket_locks_by_itself_is_found_by_a_close_look_and_by_a_light_one(
    s3: Any, retention: dict[str, int], days: int
) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    lock_by_default(s3, bucket, **retention)
    assert look(s3, binding_of(bucket, ""), closely=False).lock_state == LockState(is_enabled=True, default_days=days)
    seen = look(s3, binding_of(bucket, "")).capabilities
    assert seen is not None and seen.lock_state == LockState(is_enabled=True, default_days=days)


def test_a_light_look_finds_whether_a_bucket_can_lock(s3: Any) -> None:
    plain, locking = make_bucket(s3), make_bucket(s3, ObjectLockEnabledForBucket=True)
    assert look(s3, binding_of(plain, ""), closely=False).lock_state == LockState()
    assert look(s3, binding_of(locking, ""), closely=False).lock_state == LockState(is_enabled=True)


def test_a_light_look_takes_no_refusal_for_a_bucket_that_cannot_lock(s3: Any) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    elsewhere = binding_of(bucket, "https://store.example.com")
    broken = Changing(s3, get_object_lock_configuration=refusing("InternalError", 500))
    assert look(broken, elsewhere, closely=False).lock_state is None
    unknowing = Changing(s3, get_object_lock_configuration=refusing("NotImplemented", 501))
    assert look(unknowing, elsewhere, closely=False).lock_state == LockState()


def test_a_role_that_is_not_had_just_now_is_not_taken_for_what_the_store_lacks(s3: Any) -> None:
    def throttled(call: Any, asked: dict[str, Any]) -> Any:
        answer = {"Error": {"Code": "Throttling"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        raise ClientError(answer, "AssumeRole")

    with pytest.raises(VaultUnavailable, match="role could not be assumed just now"):
        look(Changing(s3, list_multipart_uploads=throttled), binding_of(make_bucket(s3), ""))


def test_a_plain_bucket_of_amazon_has_no_locks_and_keeps_no_versions(s3: Any) -> None:
    found = look(s3, binding_of(make_bucket(s3), "", options=VaultOptions(lock_days=7)))
    assert found.capabilities == Capabilities(keeps_versions=False)
    assert any("no Object Lock" in warning for warning in found.warnings)
    assert any("keeps no versions" in warning for warning in found.warnings)


def test_locking_is_tried_where_copies_are_to_be_locked(s3: Any, cloud: LocalCloud) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    options = VaultOptions(lock_days=7, lock_mode=LockMode.GOVERNANCE)
    cloud.s3.deny("PutObjectRetention", "")
    with pytest.raises(VaultDenied, match=r"s3:PutObjectRetention on the bucket"):
        look(s3, binding_of(bucket, "", options=options))
    cloud.s3.forgive()
    assert look(s3, binding_of(bucket, "", options=options)).warnings == ()


def test_a_lock_by_default_that_is_longer_than_the_vault_s_is_told(s3: Any) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    lock_by_default(s3, bucket, Years=1)
    found = look(s3, binding_of(bucket, "", options=VaultOptions(lock_days=30)))
    assert any("365 days by default, longer than the vault's 30" in warning for warning in found.warnings)


DENIABLE = {
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "GetObject": "s3:GetObject",
    "DeleteObject": "s3:DeleteObject",
    "CreateMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetObjectRetention": "s3:GetObjectRetention",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
}


@pytest.mark.parametrize("operation", DENIABLE)
def test_what_a_bucket_denies_is_named(s3: Any, cloud: LocalCloud, operation: str) -> None:
    bucket = make_bucket(s3, ObjectLockEnabledForBucket=True)
    cloud.s3.deny(operation, "")
    with pytest.raises(VaultDenied) as denied:
        look(s3, binding_of(bucket, ""))
    assert f"{DENIABLE[operation]} on the bucket {bucket}" in denied.value.message
    assert DENIABLE[operation] in denied.value.hint


def test_a_bucket_that_denies_itself_may_be_somebody_else_s(s3: Any) -> None:
    bucket = make_bucket(s3)
    with pytest.raises(VaultDenied, match="may belong to somebody else"):
        probe(OneClient(s3, owner="999999999999"), binding_of(bucket, ""), datetime.now(UTC), closely=False)


def test_a_bucket_in_another_region_than_said_is_named_with_its_region(s3: Any) -> None:
    bucket = make_bucket(s3, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with pytest.raises(VaultRefused, match="lies in eu-central-1, not in us-east-1"):
        look(s3, binding_of(bucket, "", region="us-east-1"))
    assert look(s3, binding_of(bucket, "")).region == "eu-central-1"


@pytest.mark.parametrize("call", range(1, 40, 3))
def test_nothing_is_left_whichever_call_fails(s3: Any, cloud: LocalCloud, call: int) -> None:
    bucket = make_bucket(s3)
    failing = FailingAt(s3, call)
    with suppress(VaultError):
        probe(OneClient(failing), binding_of(bucket, ""), datetime.now(UTC), closely=True)
    assert left_in(s3, bucket) == []


class FailingAt:
    """A client whose nth call fails before it is sent."""

    def __init__(self, client: Any, nth: int) -> None:
        self._client = client
        self._left = nth

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def counted(**asked: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                answer = {"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
                raise ClientError(answer, name)
            return call(**asked)

        return counted


class Changing:
    """A client that does some calls otherwise."""

    def __init__(self, client: Any, **otherwise: Any) -> None:
        self._client = client
        self._otherwise = otherwise

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        change = self._otherwise.get(name)
        return (lambda **asked: change(call, asked)) if change else call


def refusing(code: str, status: int) -> Any:
    def refuse(call: Any, asked: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op")

    return refuse


def without(*names: str) -> Any:
    return lambda call, asked: call(**{name: value for name, value in asked.items() if name not in names})


# What a store ignores or refuses, and what is then found of it.
LESS = {
    "ignores If-None-Match on writes": (
        {"put_object": without("IfNoneMatch")},
        Capabilities(conditional_create=False, keeps_versions=False),
    ),
    "refuses If-None-Match on writes": (
        {
            "put_object": lambda call, asked: (
                refusing("NotImplemented", 501)(call, asked) if "IfNoneMatch" in asked else call(**asked)
            )
        },
        Capabilities(conditional_create=False, keeps_versions=False),
    ),
    "ignores If-None-Match on Complete": (
        {"complete_multipart_upload": without("IfNoneMatch")},
        Capabilities(conditional_complete=False, keeps_versions=False),
    ),
    "ignores If-Match on deletes": (
        {"delete_object": without("IfMatch")},
        Capabilities(conditional_delete=False, keeps_versions=False),
    ),
    "ignores If-Match on reads": (
        {"get_object": without("IfMatch")},
        Capabilities(conditional_read=False, keeps_versions=False),
    ),
    "ignores CRC64NVME on writes": (
        {"put_object": without("ChecksumCRC64NVME")},
        Capabilities(StoreSum.PART_MD5, keeps_versions=False),
    ),
    "ignores CRC64NVME on Complete": (
        {
            "complete_multipart_upload": lambda call, asked: call(
                **{name: value for name, value in asked.items() if name != "ChecksumCRC64NVME"}
            )
        },
        Capabilities(StoreSum.PART_MD5, keeps_versions=False),
    ),
    "checks no sum at all": (
        {
            "put_object": without("ChecksumCRC64NVME", "ContentMD5"),
            "upload_part": without("ChecksumCRC64NVME", "ContentMD5"),
        },
        Capabilities(StoreSum.NONE, keeps_versions=False),
    ),
    "does not list uploads": (
        {"list_multipart_uploads": refusing("NotImplemented", 501)},
        Capabilities(lists_uploads=False, keeps_versions=False),
    ),
}


@pytest.mark.parametrize("lack", LESS)
def test_what_a_store_lacks_is_found(s3: Any, lack: str) -> None:
    otherwise, expected = LESS[lack]
    bucket = make_bucket(s3)
    found = look(Changing(s3, **otherwise), binding_of(bucket, "https://store.example.com"))
    assert found.capabilities == expected
    assert found.warnings
    assert left_in(s3, bucket) == []


def whole_instead_of_range(call: Any, asked: dict[str, Any]) -> Any:
    return call(**{name: value for name, value in asked.items() if name != "Range"})


UNFIT = {
    "no multipart": {"create_multipart_upload": refusing("NotImplemented", 501)},
    "no parts": {"upload_part": refusing("MethodNotAllowed", 405)},
    "no ranges": {"get_object": whole_instead_of_range},
    "removals that do not remove": {"delete_object": lambda call, asked: {}},
    "listings that lag": {"list_objects_v2": lambda call, asked: {}},
}


@pytest.mark.parametrize("lack", UNFIT)
def test_a_store_without_what_copies_need_is_unfit(s3: Any, lack: str) -> None:
    with pytest.raises(VaultUnfit):
        look(Changing(s3, **UNFIT[lack]), binding_of(make_bucket(s3), "https://store.example.com"))


def test_a_server_error_of_amazon_is_no_finding(s3: Any) -> None:
    broken = Changing(s3, list_multipart_uploads=refusing("InternalError", 500))
    with pytest.raises(VaultUnavailable):
        look(broken, binding_of(make_bucket(s3), ""))


def test_a_clock_that_is_off_is_told(s3: Any) -> None:
    found = look(s3, binding_of(make_bucket(s3), ""), closely=False, later=timedelta(minutes=9))
    assert any("clock is" in warning for warning in found.warnings)


def test_an_endpoint_without_tls_and_a_kms_key_are_told(s3: Any) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"
    binding = binding_of(make_bucket(s3), "http://store.example.com", options=VaultOptions(kms_key=key))
    warnings = look(s3, binding, closely=False).warnings
    assert any("http" in warning for warning in warnings)
    [told] = [warning for warning in warnings if "KMS" in warning]
    assert "copy them into a bucket without the key" in told


def test_what_a_probe_left_that_was_cut_off_is_removed_by_a_later_one(s3: Any) -> None:
    bucket = make_bucket(s3)
    left = f"rdbkeeper-probe/{'0a' * 16}/kept"
    s3.put_object(Bucket=bucket, Key=left, Body=b"left")
    look(s3, binding_of(bucket, ""), closely=False)
    assert left_in(s3, bucket) == [left]  # it may be going on
    look(s3, binding_of(bucket, ""), closely=False, later=timedelta(hours=2))
    assert left_in(s3, bucket) == []
