"""What servers are known to answer otherwise than Amazon S3 does, by the names of the rows in s3_semantics.py.

Nothing is listed for the local cloud: it stands in for Amazon, and must answer as that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The versions that were asked. Others may answer otherwise, so that these rows say nothing of them.
KNOWN_VERSIONS = {"ceph": "16.2.", "rclone": "1.75.", "localstack": "2026.3."}

KNOWN: Mapping[str, Mapping[str, Any]] = {
    # Ceph's gateway 16.2 knows no CRC64NVME, honours If-None-Match on PutObject and If-Match on reads alone, and lets
    # its owner make storage classes.
    "ceph": {
        "a key of 1,025 bytes": "InvalidObjectName",
        "the storage class is told": "404",
        "an unknown storage class": "InvalidArgument",
        "a wrong CRC64NVME": "ok",
        "after a wrong sum nothing is there": ["k"],
        "a right CRC64NVME is told": None,
        "without a sum S3 makes CRC64NVME": None,
        "the sum of an object is of the whole": None,
        "replace what is the same": "PreconditionFailed",
        "replace what is absent": "PreconditionFailed",
        "create unless of a tag": "PreconditionFailed",
        "remove what is another": "ok",
        "a refused removal removes nothing": [],
        "remove by tag what is absent": "ok",
        "a wrong CRC64NVME of a part": "ok",
        "the sum of the whole object": None,
        "a wrong sum of the whole object": "ok",
        "a wrong length of the whole object": "ok",
        "after a refused Complete nothing is there": ["k"],
        "complete what is there": "ok",
        "a refused Complete overwrites nothing": b"the body",
        "a Complete out of order": "ok",
        "part number 0": "ok",
        "part number 10,001": "ok",
        "a Complete of an aborted upload": "InternalError",
        "a sum of the whole of a kind that has none": "ok",
        "an object that was never locked": "ObjectLockConfigurationNotFoundError",
    },
    # rclone 1.75 serves files: no conditions, no sums but Content-MD5, tags that are the MD5 of the whole, no locks. It
    # keeps the first of two parts of a number.
    "rclone": {
        "an unknown storage class": "ok",
        "a wrong CRC64NVME": "ok",
        "after a wrong sum nothing is there": ["k"],
        "a sum is told only when asked": "Tm8EpErIZgY=",
        "without a sum S3 makes CRC64NVME": None,
        "the sum of an object is of the whole": None,
        "create what is there": "ok",
        "a refused create changes nothing": b"another body",
        "replace what is another": "ok",
        "replace what is absent": "ok",
        "create unless of a tag": "ok",
        "read what is another": b"the body",
        "look at what is another": "ok",
        "remove what is another": "ok",
        "a refused removal removes nothing": [],
        "remove by tag what is absent": "ok",
        "a range answers 206": 200,
        "a range of what is another": b"th",
        "a listed tag has quotes": "3066176185fcca35d26c1b1612a91e78",
        "without uploads none is listed": "NoSuchUpload",
        "the tag of parts is the MD5 of their MD5s": '"3066176185fcca35d26c1b1612a91e78"',
        "a part put again replaces the first": b"the body",
        "a wrong CRC64NVME of a part": "ok",
        "the sum of the whole object": None,
        "a wrong sum of the whole object": "ok",
        "a wrong length of the whole object": "ok",
        "after a refused Complete nothing is there": ["k"],
        "complete what is there": "ok",
        "a refused Complete overwrites nothing": b"the body",
        "a small part before the last": "ok",
        "part number 0": "InvalidPart",
        "part number 10,001": "InvalidPart",
        "a Complete that is repeated succeeds again": "NoSuchUpload",
        "a sum of the whole of a kind that has none": "ok",
        "a bucket with Object Lock keeps versions": None,
        "a bucket says that it can lock": None,
        "a bucket that cannot lock says so": None,
        "a lock in a bucket that cannot lock": "ok",
        "an object that was never locked": "500",
        "a lock is not shortened": "ok",
        "a locked version is not deleted": "NotImplemented",
    },
    # LocalStack 2026.3 knows conditional deletes for directory buckets alone, as Amazon once did, and takes StartAfter
    # otherwise.
    "localstack": {
        "remove what is the same": ["k"],
        "remove what is another": "NotImplemented",
        "remove by tag what is absent": "NotImplemented",
        "a listing after a key": ["a/1", "a/2", "a/b/3"],
        "a Complete that is repeated succeeds again": "NoSuchUpload",
    },
}
