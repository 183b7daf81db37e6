"""The stand-in for S3 is as strict as S3 where moto is not ("Amazon S3 API reference")."""

import base64
import concurrent.futures
import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anycrc
import pytest
from botocore.exceptions import ClientError

from tests.contract.guarded_server import ACCOUNT_ID, guarded
from tests.local_cloud.s3_guard import S3Guard

MIB = 1024 * 1024
PART = bytes(range(256)) * (5 * MIB // 256)
TAIL = b"the last part may be small"
NVME = anycrc.Model("CRC64-NVME")


def nvme(data: bytes) -> str:
    return base64.b64encode(NVME.calc(data).to_bytes(8, "big")).decode()


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@pytest.fixture(scope="module")
def cloud() -> Iterator[tuple[S3Guard, Callable[..., Any]]]:
    guard = S3Guard()
    with guarded({"s3": guard}) as client:
        yield guard, client


@pytest.fixture
def guard(cloud: tuple[S3Guard, Callable[..., Any]]) -> Iterator[S3Guard]:
    yield cloud[0]
    cloud[0].forgive()


@pytest.fixture(scope="module")
def s3(cloud: tuple[S3Guard, Callable[..., Any]]) -> Any:
    return cloud[1]("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    return name


def refused(call: Callable[..., Any], *code: str, status: int, **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] in code


def keys_of(s3: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


class Uploading:
    """A multipart upload that is summed as a whole."""

    def __init__(self, s3: Any, bucket: str, key: str = "a/key", **options: Any) -> None:
        self.s3 = s3
        self.at = {"Bucket": bucket, "Key": key}
        options = options or {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "FULL_OBJECT"}
        self.upload_id = s3.create_multipart_upload(**self.at, **options)["UploadId"]
        self.parts: list[dict[str, Any]] = []

    @property
    def names(self) -> dict[str, str]:
        return {**self.at, "UploadId": self.upload_id}

    def put(self, number: int, body: bytes, **options: Any) -> dict[str, Any]:
        options = options or {"ChecksumCRC64NVME": nvme(body)}
        answer = self.s3.upload_part(**self.names, PartNumber=number, Body=body, **options)
        self.parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        return answer

    def complete(self, **options: Any) -> dict[str, Any]:
        return self.s3.complete_multipart_upload(**self.names, MultipartUpload={"Parts": self.parts}, **options)


@pytest.fixture
def uploading(s3: Any, bucket: str) -> Uploading:
    upload = Uploading(s3, bucket)
    upload.put(1, PART)
    upload.put(2, TAIL)
    return upload


# -- single objects


@pytest.mark.parametrize(
    "wrong",
    [
        {"ChecksumCRC64NVME": nvme(b"other")},
        {"ChecksumSHA256": sha256(b"other")},
        {"ChecksumCRC32": base64.b64encode(b"0000").decode()},
        {"ContentMD5": base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()},
    ],
)
def test_a_body_that_does_not_match_its_sum_is_refused(s3: Any, bucket: str, wrong: dict[str, Any]) -> None:
    refused(s3.put_object, "BadDigest", status=400, Bucket=bucket, Key="k", Body=b"body", **wrong)
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ChecksumCRC64NVME": "not base64"}, "InvalidRequest"),
        ({"ChecksumSHA256": nvme(b"body")}, "InvalidRequest"),
        ({"ChecksumCRC64NVME": nvme(b"body"), "ChecksumSHA256": sha256(b"body")}, "InvalidRequest"),
        ({"ContentMD5": "c2hvcnQ="}, "InvalidDigest"),
    ],
)
def test_a_sum_that_is_not_one_is_refused(s3: Any, bucket: str, wrong: dict[str, Any], code: str) -> None:
    refused(s3.put_object, code, status=400, Bucket=bucket, Key="k", Body=b"body", **wrong)


def test_an_object_shows_the_sum_it_was_put_with(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"body", ChecksumCRC64NVME=nvme(b"body"))
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert put["ChecksumCRC64NVME"] == head["ChecksumCRC64NVME"] == nvme(b"body")
    assert head["ChecksumType"] == "FULL_OBJECT"
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == nvme(b"body")


def test_sums_are_shown_only_to_who_asks_and_never_for_a_range(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ChecksumCRC64NVME=nvme(b"body"))
    assert "ChecksumCRC64NVME" not in s3.head_object(Bucket=bucket, Key="k")
    ranged = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1", ChecksumMode="ENABLED")
    assert "ChecksumCRC64NVME" not in ranged
    assert ranged["Body"].read() == b"bo"


def test_each_version_keeps_its_own_sum(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"one", ChecksumCRC64NVME=nvme(b"one"))["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", ChecksumSHA256=sha256(b"two"))
    now = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    then = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", VersionId=first)
    assert now["ChecksumSHA256"] == sha256(b"two")
    assert "ChecksumCRC64NVME" not in now
    assert then["ChecksumCRC64NVME"] == nvme(b"one")


def test_an_object_is_created_only_once_if_none_match_says_so(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")
    refused(s3.put_object, "PreconditionFailed", status=412, Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"one"


def test_of_many_that_create_an_object_at_once_one_wins(s3: Any, bucket: str) -> None:
    def put(number: int) -> str:
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(put, range(24)))
    assert answers == ["PreconditionFailed"] * 23 + ["created"]


def test_if_match_guards_puts_gets_and_deletes(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    other = '"00000000000000000000000000000000"'
    at = {"Bucket": bucket, "Key": "k"}
    refused(s3.put_object, "PreconditionFailed", status=412, **at, Body=b"two", IfMatch=other)
    refused(s3.put_object, "NoSuchKey", status=404, Bucket=bucket, Key="none", Body=b"two", IfMatch=etag)
    refused(s3.get_object, "PreconditionFailed", status=412, **at, IfMatch=other)
    refused(s3.delete_object, "PreconditionFailed", status=412, **at, IfMatch=other)
    assert s3.get_object(**at, IfMatch=etag, Range="bytes=1-")["Body"].read() == b"ne"
    s3.delete_object(**at, IfMatch=etag)
    assert keys_of(s3, bucket) == []


def test_a_range_beyond_the_end_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    refused(s3.get_object, "InvalidRange", status=416, Bucket=bucket, Key="k", Range="bytes=9-")


def test_many_keys_are_removed_each_under_its_own_condition(s3: Any, bucket: str, guard: S3Guard) -> None:
    etags = {key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode())["ETag"] for key in ("a", "b&", "kept/c")}
    guard.deny("s3:DeleteObject", "kept/")
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Objects": [
                {"Key": "a", "ETag": etags["b&"]},
                {"Key": "b&", "ETag": etags["b&"]},
                {"Key": "kept/c"},
                {"Key": "none", "ETag": etags["a"]},
            ]
        },
    )
    assert {error["Key"]: error["Code"] for error in answer["Errors"]} == {
        "a": "PreconditionFailed",
        "kept/c": "AccessDenied",
        "none": "NoSuchKey",
    }
    assert [gone["Key"] for gone in answer["Deleted"]] == ["b&"]
    assert keys_of(s3, bucket) == ["a", "kept/c"]


def test_a_key_may_have_1024_bytes_and_no_more(s3: Any, bucket: str) -> None:
    longest = "é" * 512
    s3.put_object(Bucket=bucket, Key=longest, Body=b"")
    assert keys_of(s3, bucket) == [longest]
    refused(s3.put_object, "KeyTooLongError", status=400, Bucket=bucket, Key=longest + "x", Body=b"")


def test_another_owner_s_bucket_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ExpectedBucketOwner=ACCOUNT_ID)
    refused(s3.head_object, "403", status=403, Bucket=bucket, Key="k", ExpectedBucketOwner="999999999999")


def test_what_is_not_modelled_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    source = {"Bucket": bucket, "Key": "k"}
    refused(s3.copy_object, "NotImplemented", status=501, Bucket=bucket, Key="l", CopySource=source)
    refused(s3.get_object, "NotImplemented", status=501, Bucket=bucket, Key="k", PartNumber=1)


# -- multipart uploads


def test_a_completed_upload_carries_the_sum_of_the_whole_object(uploading: Uploading, s3: Any) -> None:
    whole = nvme(PART + TAIL)
    answer = uploading.complete(
        ChecksumCRC64NVME=whole, ChecksumType="FULL_OBJECT", MpuObjectSize=len(PART + TAIL), IfNoneMatch="*"
    )
    assert (answer["ChecksumCRC64NVME"], answer["ChecksumType"]) == (whole, "FULL_OBJECT")
    head = s3.head_object(**uploading.at, ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (whole, "FULL_OBJECT")
    assert s3.get_object(**uploading.at)["Body"].read() == PART + TAIL


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"ChecksumCRC64NVME": nvme(b"other"), "ChecksumType": "FULL_OBJECT"}, "BadDigest"),
        ({"ChecksumCRC64NVME": nvme(PART + TAIL), "ChecksumType": "COMPOSITE"}, "InvalidRequest"),
        ({"ChecksumSHA256": sha256(PART + TAIL)}, "InvalidRequest"),
        ({"MpuObjectSize": len(PART)}, "InvalidRequest"),
    ],
)
def test_an_upload_that_is_not_what_was_announced_is_refused_and_stays_open(
    uploading: Uploading, s3: Any, wrong: dict[str, Any], code: str
) -> None:
    refused(uploading.complete, code, status=400, **wrong)
    refused(s3.head_object, "404", status=404, **uploading.at)
    assert uploading.complete()["ChecksumCRC64NVME"] == nvme(PART + TAIL)


def test_a_part_that_does_not_match_its_sum_is_refused(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    with pytest.raises(ClientError, match="BadDigest"):
        upload.put(1, PART, ChecksumCRC64NVME=nvme(TAIL))
    with pytest.raises(ClientError, match="Checksum Type mismatch"):
        upload.put(1, PART, ChecksumSHA256=sha256(PART))
    assert "Parts" not in s3.list_parts(**upload.names)


def test_listed_parts_must_be_those_that_were_put(s3: Any, uploading: Uploading) -> None:
    good = list(uploading.parts)
    for wrong, code in (
        ([good[1], good[0]], "InvalidPartOrder"),
        ([good[0], good[0]], "InvalidPartOrder"),
        ([good[0], {**good[1], "ETag": good[0]["ETag"]}], "InvalidPart"),
        ([{**good[0], "ChecksumCRC64NVME": nvme(TAIL)}, good[1]], "InvalidPart"),
        ([*good, {"PartNumber": 3, "ETag": good[0]["ETag"]}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        uploading.parts = wrong
        refused(uploading.complete, code, status=400)


def test_only_the_last_part_may_be_small(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, TAIL)
    upload.put(2, TAIL)
    refused(upload.complete, "EntityTooSmall", status=400)


def test_a_part_put_again_replaces_the_first(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket)
    upload.put(1, PART)
    upload.parts.clear()
    upload.put(1, TAIL)
    assert upload.complete()["ChecksumCRC64NVME"] == nvme(TAIL)


def test_parts_are_listed_with_their_sums_page_by_page(uploading: Uploading, s3: Any) -> None:
    pages = list(s3.get_paginator("list_parts").paginate(**uploading.names, PaginationConfig={"PageSize": 1}))
    parts = [part for page in pages for part in page["Parts"]]
    assert len(pages) == 2
    assert [(part["PartNumber"], part["Size"], part["ChecksumCRC64NVME"]) for part in parts] == [
        (1, len(PART), nvme(PART)),
        (2, len(TAIL), nvme(TAIL)),
    ]
    assert {part["ETag"] for part in parts} == {part["ETag"] for part in uploading.parts}


def test_a_repeated_complete_succeeds_again_and_changes_nothing(uploading: Uploading, s3: Any) -> None:
    first = uploading.complete(IfNoneMatch="*")
    assert uploading.complete(IfNoneMatch="*")["ETag"] == first["ETag"]
    uploading.parts.pop()
    refused(uploading.complete, "NoSuchUpload", status=404)


@pytest.mark.parametrize("condition", [{"IfNoneMatch": "*"}, {"IfMatch": '"00000000000000000000000000000000"'}])
def test_a_complete_under_a_condition_does_not_overwrite(
    uploading: Uploading, s3: Any, condition: dict[str, Any]
) -> None:
    s3.put_object(**uploading.at, Body=b"first")
    refused(uploading.complete, "PreconditionFailed", status=412, **condition)
    assert s3.get_object(**uploading.at)["Body"].read() == b"first"


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_after_its_end_an_upload_takes_no_part(uploading: Uploading, s3: Any, end: str) -> None:
    if end == "complete":
        uploading.complete()
    else:
        s3.abort_multipart_upload(**uploading.names)
        refused(uploading.complete, "NoSuchUpload", status=404)
    part = {**uploading.names, "PartNumber": 3, "Body": TAIL, "ChecksumCRC64NVME": nvme(TAIL)}
    refused(s3.upload_part, "NoSuchUpload", status=404, **part)
    refused(s3.list_parts, "NoSuchUpload", status=404, **uploading.names)
    refused(s3.abort_multipart_upload, "NoSuchUpload", status=404, **uploading.names)


def test_an_upload_belongs_to_its_key(uploading: Uploading, s3: Any) -> None:
    other = {**uploading.names, "Key": "another"}
    part = {"PartNumber": 1, "Body": TAIL, "ChecksumCRC64NVME": nvme(TAIL)}
    refused(s3.upload_part, "NoSuchUpload", status=404, **other, **part)
    listed = {"Parts": uploading.parts}
    refused(s3.complete_multipart_upload, "NoSuchUpload", status=404, **other, MultipartUpload=listed)
    refused(s3.abort_multipart_upload, "NoSuchUpload", status=404, **other)


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3: Any, bucket: str, number: int) -> None:
    upload = Uploading(s3, bucket)
    with pytest.raises(ClientError, match="InvalidArgument"):
        upload.put(number, TAIL)


def test_open_uploads_are_listed_below_a_prefix_with_the_time_they_began(s3: Any, bucket: str) -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    uploads = [Uploading(s3, bucket, key) for key in ("x/b", "x/a", "y", "x/a")]
    Uploading(s3, bucket, "x/done").s3.abort_multipart_upload(**uploads[2].names)
    pages = list(
        s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=bucket, Prefix="x/", PaginationConfig={"PageSize": 1}
        )
    )
    found = [upload for page in pages for upload in page.get("Uploads", [])]
    assert len(pages) == 4
    assert [upload["Key"] for upload in found] == ["x/a", "x/a", "x/b", "x/done"]
    assert [upload["UploadId"] for upload in found[:2]] == [uploads[1].upload_id, uploads[3].upload_id]
    assert all(before <= upload["Initiated"] <= dt.datetime.now(dt.UTC) for upload in found)
    refused(s3.list_multipart_uploads, "NoSuchBucket", status=404, Bucket=f"{bucket}-none")


def test_a_composite_upload_needs_the_sum_of_each_part(s3: Any, bucket: str) -> None:
    upload = Uploading(s3, bucket, ChecksumAlgorithm="SHA256")
    upload.put(1, PART, ChecksumSHA256=sha256(PART))
    refused(upload.complete, "InvalidRequest", status=400)
    upload.parts[0]["ChecksumSHA256"] = sha256(PART)
    upload.complete()
    head = s3.head_object(**upload.at, ChecksumMode="ENABLED")
    assert head["ChecksumType"] == "COMPOSITE"
    assert head["ChecksumSHA256"] == sha256(hashlib.sha256(PART).digest()) + "-1"


@pytest.mark.parametrize(
    "options",
    [
        {"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"},
        {"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"},
    ],
)
def test_sums_have_only_the_types_that_s3_knows(s3: Any, bucket: str, options: dict[str, Any]) -> None:
    refused(s3.create_multipart_upload, "InvalidRequest", status=400, Bucket=bucket, Key="k", **options)


def test_boto3_s_own_transfers_work(s3: Any, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(PART * 4 + TAIL)
    s3.upload_file(str(file), bucket, "a/file with spaces & ümläut")
    s3.download_file(bucket, "a/file with spaces & ümläut", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == file.read_bytes()


# -- switches for tests


# -- locks and keys


@pytest.fixture
def locking(s3: Any) -> str:
    name = f"locking-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    return name


def in_days(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=days)


def test_a_lock_is_told_as_it_was_set_and_an_object_without_one_says_so(s3: Any, locking: str) -> None:
    none = {"status": 404, "Bucket": locking, "Key": "a"}
    refused(s3.get_object_retention, "NoSuchObjectLockConfiguration", **none)
    refused(s3.get_object_legal_hold, "NoSuchObjectLockConfiguration", **none)
    refused(s3.get_object_retention, "NoSuchKey", status=404, Bucket=locking, Key="b")
    wanted = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(3)}
    s3.put_object_retention(Bucket=locking, Key="a", Retention=wanted)
    assert s3.get_object_retention(Bucket=locking, Key="a")["Retention"] == wanted
    s3.put_object_legal_hold(Bucket=locking, Key="a", LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(Bucket=locking, Key="a")["LegalHold"] == {"Status": "ON"}


def test_a_bucket_without_object_lock_takes_and_tells_none(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    wanted = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(3)}
    refused(s3.put_object_retention, "InvalidRequest", status=400, Bucket=bucket, Key="a", Retention=wanted)
    refused(s3.get_object_retention, "InvalidRequest", status=400, Bucket=bucket, Key="a")
    locked = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": in_days(3)}
    refused(s3.put_object, "InvalidRequest", status=400, Bucket=bucket, Key="b", Body=b"x", **locked)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_a_lock_can_be_made_longer_and_neither_shorter_nor_weaker(s3: Any, locking: str, mode: str) -> None:
    at = {"Bucket": locking, "Key": "a"}
    s3.put_object_retention(**at, Retention={"Mode": mode, "RetainUntilDate": in_days(3)})
    shorter = {"Mode": mode, "RetainUntilDate": in_days(2)}
    refused(s3.put_object_retention, "AccessDenied", status=403, **at, Retention=shorter)
    past = {"Mode": mode, "RetainUntilDate": in_days(-1)}
    refused(s3.put_object_retention, "InvalidArgument", status=400, **at, Retention=past)
    s3.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": in_days(4)})
    weaker = {"Mode": "GOVERNANCE", "RetainUntilDate": in_days(5)}
    refused(s3.put_object_retention, "AccessDenied", status=403, **at, Retention=weaker)


def test_a_plain_delete_hides_a_locked_object_whose_version_cannot_be_deleted(s3: Any, locking: str) -> None:
    version = s3.head_object(Bucket=locking, Key="a")["VersionId"]
    s3.put_object_retention(Bucket=locking, Key="a", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": in_days(3)})
    s3.delete_object(Bucket=locking, Key="a")
    refused(s3.head_object, "404", status=404, Bucket=locking, Key="a")
    refused(s3.delete_object, "AccessDenied", status=403, Bucket=locking, Key="a", VersionId=version)
    assert s3.get_object(Bucket=locking, Key="a", VersionId=version)["Body"].read() == b"x"
    suspended = {"Status": "Suspended"}
    refused(
        s3.put_bucket_versioning, "InvalidBucketState", status=409, Bucket=locking, VersioningConfiguration=suspended
    )


def test_a_key_of_another_region_encrypts_nothing(s3: Any, bucket: str) -> None:
    far = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:000000000000:key/1"}
    refused(s3.put_object, "KMS.NotFoundException", status=400, Bucket=bucket, Key="a", Body=b"x", **far)
    near = {**far, "SSEKMSKeyId": "arn:aws:kms:us-east-1:000000000000:key/1"}
    assert s3.put_object(Bucket=bucket, Key="a", Body=b"x", **near)["SSEKMSKeyId"] == near["SSEKMSKeyId"]


def test_a_denied_action_is_denied_below_its_prefix_only(s3: Any, bucket: str, guard: S3Guard) -> None:
    guard.deny("s3:PutObject", "no/")
    refused(s3.put_object, "AccessDenied", status=403, Bucket=bucket, Key="no/k", Body=b"")
    refused(s3.create_multipart_upload, "AccessDenied", status=403, Bucket=bucket, Key="no/k")
    s3.put_object(Bucket=bucket, Key="yes/k", Body=b"")
    guard.deny("ListObjectsV2", "no/")
    refused(s3.list_objects_v2, "AccessDenied", status=403, Bucket=bucket, Prefix="no/k")
    s3.list_objects_v2(Bucket=bucket, Prefix="yes/")
    guard.forgive()
    s3.put_object(Bucket=bucket, Key="no/k", Body=b"")


def test_who_may_not_list_is_not_told_that_a_key_is_missing(s3: Any, bucket: str, guard: S3Guard) -> None:
    refused(s3.head_object, "404", status=404, Bucket=bucket, Key="k")
    guard.deny("s3:ListBucket")
    refused(s3.head_object, "403", status=403, Bucket=bucket, Key="k")
    refused(s3.get_object, "AccessDenied", status=403, Bucket=bucket, Key="k")


def test_a_lost_answer_is_lost_once_after_the_deed(s3: Any, bucket: str, guard: S3Guard) -> None:
    guard.lose_answer_once("PutObject")
    refused(s3.put_object, "InternalError", status=500, Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"one"
    refused(s3.put_object, "PreconditionFailed", status=412, Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")


def test_a_failure_fails_as_often_as_asked_and_does_nothing(
    cloud: tuple[S3Guard, Callable[..., Any]], s3: Any, bucket: str, guard: S3Guard
) -> None:
    guard.fail_next("PutObject", 2)
    refused(s3.put_object, "SlowDown", status=503, Bucket=bucket, Key="k", Body=b"one")
    assert keys_of(s3, bucket) == []
    cloud[1]("s3", max_attempts=3).put_object(Bucket=bucket, Key="k", Body=b"one")
    assert [call.operation for call in guard.calls if call.bucket == bucket].count("PutObject") == 3
