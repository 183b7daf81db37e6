"""`python -m rdbkeeper.verify s3://…`, against a bucket of the local cloud."""

from __future__ import annotations

import io
from itertools import count

import pytest

from rdbkeeper.domain.catalog import manifest_key
from rdbkeeper.domain.copy import data_key
from rdbkeeper.verify.__main__ import main
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.local_cloud.server import LocalCloud
from tests.unit.copies_on_disk import COPY_ID, PART_BYTES, PLACE, a_manifest

FILES = {"0001": rdb_file(2 * PART_BYTES + 10), "0002": rdb_file(500, seed=2)}
_buckets = count(1)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.fixture
def bucket(cloud: LocalCloud) -> str:
    """A bucket with one whole copy."""
    name = f"verified-{next(_buckets)}"
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name)
    manifest = a_manifest(FILES)
    for file, body in FILES.items():
        s3.put_object(Bucket=name, Key=data_key(PLACE, COPY_ID, file), Body=body)
    s3.put_object(Bucket=name, Key=manifest_key(PLACE, COPY_ID, manifest.level), Body=manifest.to_json())
    return name


def verify(cloud: LocalCloud, uri: str, *more: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([uri, "--endpoint-url", cloud.endpoint_url, "--region", cloud.region, *more], out, err)
    return code, out.getvalue() + err.getvalue()


@pytest.mark.parametrize(
    "key", [PLACE, PLACE.rstrip("/"), "", f"{PLACE}{COPY_ID}/", f"{PLACE}manifests/{COPY_ID}.verified.json"]
)
def test_a_copy_in_a_bucket_is_found_and_whole(cloud: LocalCloud, bucket: str, key: str) -> None:
    code, said = verify(cloud, f"s3://{bucket}/{key}")
    assert (code, said.splitlines()[-1]) == (0, "1 copy, 8.7 kB: 1 whole"), said


def test_the_part_that_is_damaged_in_a_bucket_is_named(cloud: LocalCloud, bucket: str) -> None:
    key = data_key(PLACE, COPY_ID, "0001")
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=flip_bit(FILES["0001"], PART_BYTES))
    code, said = verify(cloud, f"s3://{bucket}/{PLACE}")
    assert (code, "0001.rdb: part 2 of 3, bytes 4,096 to 8,191, is not what was copied" in said) == (1, True)


def test_a_place_that_was_copied_to_another_prefix_is_checked_there(cloud: LocalCloud, bucket: str) -> None:
    s3 = cloud.client("s3")
    for found in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        s3.put_object(Bucket=bucket, Key=found["Key"].replace(PLACE, "elsewhere/"), Body=body)
        s3.delete_object(Bucket=bucket, Key=found["Key"])
    assert verify(cloud, f"s3://{bucket}/elsewhere/")[0] == 0


@pytest.mark.parametrize(
    ("uri", "more", "says"),
    [
        ("s3://no-such-bucket-here/redis/", (), "Look at the bucket's name, --endpoint-url and --region."),
        ("s3://no-such-bucket-here/", (), "Listing the objects below the root of the bucket"),
        ("s3://{bucket}/redis/", ("--endpoint-url", "http://127.0.0.1:9"), "Look at the network and --endpoint-url"),
        ("s3://{bucket}/nothing/", (), "There is no manifest of a copy at"),
        ("s3://{bucket}/redis/orders/manifests/x.verified.json", (), "There is no manifest of a copy at"),
        ("s3://{bucket}/redis/", ("--profile", "no-such-profile"), "no-such-profile"),
        ("s3://{bucket}/redis/", ("--endpoint-url", "not an address"), "not an address"),
        ("s3://{bucket}/redis/", ("--endpoint-url", "http://127.0.0.1:9"), "got no answer"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(
    cloud: LocalCloud, bucket: str, uri: str, more: tuple[str, ...], says: str
) -> None:
    code, said = verify(cloud, uri.format(bucket=bucket), *more)
    assert (code, says in said) == (2, True), said


def test_who_has_no_credentials_is_told_so(cloud: LocalCloud, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    code, said = verify(cloud, f"s3://{bucket}/")
    assert (code, "there are no credentials" in said) == (2, True), said
