"""Whether a service can export to a bucket, as each of them looks at it in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from botocore.exceptions import ClientError

from tests.local_cloud.managed.bucket_policy import find_missing_grants

Problem = Literal["missing", "foreign", "elsewhere", "ungranted", "without-acls", "taken"]


class BucketError(Exception):
    """A bucket does not do. detail: the kind and names of missing grants, the key that is taken, else empty."""

    def __init__(self, problem: Problem, bucket: str, detail: str = "") -> None:
        super().__init__(f"{bucket}: {problem} {detail}")
        self.problem = problem
        self.bucket = bucket
        self.detail = detail


class ExportBuckets:
    """Looks at buckets through S3, and remembers which ones a test has given to somebody else."""

    def __init__(self, s3: Callable[[], Any], region: str) -> None:
        self._s3 = s3
        self._region = region
        self._disowned: set[str] = set()

    def disown(self, bucket: str, disowned: bool) -> None:
        """Take a bucket for another account's, or no longer."""
        (self._disowned.add if disowned else self._disowned.discard)(bucket)

    def check_place(self, bucket: str) -> None:
        """Raise BucketError: missing, foreign or elsewhere."""
        if bucket in self._disowned:
            raise BucketError("foreign", bucket)
        try:
            location = self._s3().get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
        except ClientError as error:
            if _code(error) in ("NoSuchBucket", "404"):
                raise BucketError("missing", bucket) from error
            if _code(error) in ("AccessDenied", "403", "Forbidden"):
                raise BucketError("foreign", bucket) from error
            raise
        if {"EU": "eu-west-1"}.get(location, location) != self._region:
            raise BucketError("elsewhere", bucket)

    def check_grants(self, bucket: str, key: str, principal: str) -> None:
        """Raise BucketError: ungranted, with the first kind of permission that the policy does not give."""
        for kind, actions in find_missing_grants(self._policy(bucket), bucket, key, principal).items():
            raise BucketError("ungranted", bucket, f"{kind} permissions {', '.join(actions)}")

    def check_acls(self, bucket: str) -> None:
        """Raise BucketError: without-acls, unless the bucket's Object Ownership is "bucket owner preferred"."""
        try:
            controls = self._s3().get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
        except ClientError as error:
            if _code(error) != "OwnershipControlsNotFoundError":
                raise
            # S3 has given every new bucket "bucket owner enforced", which is without ACLs, since April 2023.
            raise BucketError("without-acls", bucket) from error
        if [rule["ObjectOwnership"] for rule in controls["Rules"]] != ["BucketOwnerPreferred"]:
            raise BucketError("without-acls", bucket)

    def check_free(self, bucket: str, keys: Iterable[str]) -> None:
        """Raise BucketError: taken, with the first key that the bucket holds already."""
        for key in keys:
            try:
                self._s3().head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if _code(error) not in ("404", "NoSuchKey"):
                    raise
            else:
                raise BucketError("taken", bucket, key)

    def _policy(self, bucket: str) -> str:
        try:
            return str(self._s3().get_bucket_policy(Bucket=bucket)["Policy"])
        except ClientError as error:
            if _code(error) == "NoSuchBucketPolicy":
                return ""
            raise


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
