"""What the bench asks of a bucket, in a process of its own so that it costs no measured client anything.

`python -m tests.bench.ceph_bucket ENDPOINT BUCKET make_bucket | check_and_clear SIZE`
"""

from __future__ import annotations

import sys
import time
from typing import Any

import boto3
from botocore.exceptions import ClientError

from rdbkeeper.rdb.checksum import crc64_redis

READY_TIMEOUT_S = 180.0
PIECE_BYTES = 1 << 20


def make_bucket(client: Any, bucket: str) -> None:
    """Make the bucket, as soon as the gateway is ready to."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def check_and_clear(client: Any, bucket: str, size_bytes: str) -> None:
    """Exit with what is there unless one object is the whole RDB file; remove every object."""
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    files = [item["Key"] for item in found if item["Size"] == int(size_bytes)]
    damaged = [key for key in files if _sum_of(client, bucket, key) != 0]
    for item in found:
        client.delete_object(Bucket=bucket, Key=item["Key"])
    if len(files) != 1 or damaged:
        raise SystemExit(f"one whole file of {size_bytes} bytes was to be there; there is {found}, damaged {damaged}")


def _sum_of(client: Any, bucket: str, key: str) -> int:
    """The file's own CRC64 over all of it; 0 when its end agrees."""
    crc = 0
    for piece in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(PIECE_BYTES):
        crc = crc64_redis(piece, crc)
    return crc


def main(endpoint: str, bucket: str, name: str, *arguments: str) -> None:
    """Do what is asked for by name."""
    client = boto3.client("s3", endpoint_url=endpoint)
    {"make_bucket": make_bucket, "check_and_clear": check_and_clear}[name](client, bucket, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
