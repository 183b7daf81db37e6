"""AWS's services with one rule and nothing new to copy, answered in this process as their endpoints would.

The clients are those of the functions. An answer takes the place of a request when it is about to be sent, so each is
built, signed, and its answer parsed, as in the cloud. Nothing is sent. Every call is counted.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from rdbkeeper.aws.table_items import pack, rule_key
from rdbkeeper.domain.catalog import begin_of_marks
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import RunReport
from rdbkeeper.entry import wiring
from tests.bench.answering_store import AnsweringStore, Lying, Reply

KEYS_PER_PAGE = 1_000  # "ListObjectsV2", S3 API reference
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_S3_NAMES = "http://s3.amazonaws.com/doc/2006-03-01/"
_ELASTICACHE_NAMES = "http://elasticache.amazonaws.com/doc/2015-02-02/"

# The tag and the size of whatever a prepared page lists.
LISTED_ETAG = "d41d8cd98f00b204e9800998ecf8427e"
LISTED_SIZE_BYTES = 1800

Answer = Callable[[AWSPreparedRequest], bytes | Reply]


class AnsweringServices:
    """`calls` counts calls by service and operation, `s3.ListObjectsV2`; what is not prepared here fails.

    `keys` are those of the manifests; in the `store`, if there is one, lies what a run asks for by key.
    """

    def __init__(
        self,
        rule: Rule,
        keys: Sequence[str],
        backups: Sequence[tuple[str, datetime]],
        last_run: RunReport,
        store: AnsweringStore | None = None,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._clients: dict[str, Any] = {}
        self._answers: dict[str, Answer] = {
            "s3.ListObjectsV2": _lister(rule.place.path, keys, store),
            **{f"s3.{name}": answer for name, answer in (store.answers() if store else ())},
            "s3.ListMultipartUploads": _always(_no_uploads()),
            **{f"elasticache.{name}": _always(body) for name, body in _elasticache(rule, backups)},
            **{f"dynamodb.{name}": answer for name, answer in _table(rule, last_run)},
        }

    def client(self, service: str) -> Any:
        """The client of a service, answered here."""
        if service not in self._clients:
            client = wiring.client.__wrapped__(service)  # not the cached one, which others must find as it was
            client.meta.events.register("before-call", partial(self._count, service))
            client.meta.events.register("before-send", partial(self._answer, service))
            self._clients[service] = client
        return self._clients[service]

    def _count(self, service: str, model: Any, **_: Any) -> None:
        self.calls[f"{service}.{model.name}"] += 1

    def _answer(self, service: str, event_name: str, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        reply = self._answers[f"{service}.{event_name.rpartition('.')[2]}"](request)
        if isinstance(reply, bytes):
            reply = Reply(reply)
        return AWSResponse(request.url, reply.status, reply.headers, _Body(reply.body))


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _always(body: bytes) -> Answer:
    return lambda _: body


# ----------------------------------------------------------------------- vault


def _lister(path: str, keys: Sequence[str], store: AnsweringStore | None) -> Answer:
    """Listings of the rule's manifests and of its folders, in pages that were written beforehand; nothing is staged."""
    starts = range(0, max(1, len(keys)), KEYS_PER_PAGE)
    listed = [(key, Lying(LISTED_ETAG, LISTED_SIZE_BYTES)) for key in keys]
    pages = [_list_page(listed[first : first + KEYS_PER_PAGE], first + KEYS_PER_PAGE, len(keys)) for first in starts]
    # A copy's folder of data and the folder of the manifests.
    copy_ids = [key.rsplit("/", 1)[-1].removesuffix(".verified.json") for key in keys]
    names = [f"{path}{name}/" for name in (*copy_ids, "manifests")] if keys else []
    folders = [
        _folder_page(names[first : first + KEYS_PER_PAGE], first + KEYS_PER_PAGE, len(names))
        for first in range(0, max(1, len(names)), KEYS_PER_PAGE)
    ]

    def answer(request: AWSPreparedRequest) -> bytes:
        asked = parse_qs(urlsplit(request.url).query)
        page = int(asked.get("continuation-token", ["0"])[0]) // KEYS_PER_PAGE
        if asked["prefix"][0].startswith("rdbkeeper-"):
            return _list_page((), 0, 0)
        if store is not None and asked["prefix"] != [path]:
            found = store.find(asked["prefix"][0])
            return _list_page(found, len(found), len(found))
        assert asked["prefix"] == [path]
        if "delimiter" in asked:
            return folders[page]
        assert page or asked["start-after"] == [begin_of_marks(path)]
        return pages[page]

    return answer


def _folder_page(names: Sequence[str], end: int, count: int) -> bytes:
    return _page("".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in names), end, count)


def _list_page(found: Sequence[tuple[str, Lying]], end: int, count: int) -> bytes:
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-21T03:00:00.000Z</LastModified>"
        f"<ETag>&quot;{there.etag}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
        f"<ChecksumType>FULL_OBJECT</ChecksumType><Size>{there.size_bytes}</Size><StorageClass>STANDARD</StorageClass>"
        "</Contents>"
        for key, there in found
    )
    return _page(contents, end, count)


def _page(contents: str, end: int, count: int) -> bytes:
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < count else ""
    return (
        f'{_XML}<ListBucketResult xmlns="{_S3_NAMES}"><Name>vault</Name>'
        f"<KeyCount>{min(count, KEYS_PER_PAGE)}</KeyCount><MaxKeys>{KEYS_PER_PAGE}</MaxKeys>"
        f"<EncodingType>url</EncodingType><IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        f"{more}{contents}</ListBucketResult>"
    ).encode()


def _no_uploads() -> bytes:
    found = "<IsTruncated>false</IsTruncated>"
    return f'{_XML}<ListMultipartUploadsResult xmlns="{_S3_NAMES}">{found}</ListMultipartUploadsResult>'.encode()


# ---------------------------------------------------------------------- source


def _elasticache(rule: Rule, backups: Sequence[tuple[str, datetime]]) -> Iterator[tuple[str, bytes]]:
    """One replication group with one node, and these automatic backups of it."""
    node = f"{rule.instance}-001"
    group = (
        f"<ReplicationGroup><ReplicationGroupId>{rule.instance}</ReplicationGroupId><Status>available</Status>"
        f"<MemberClusters><ClusterId>{node}</ClusterId></MemberClusters><Engine>redis</Engine>"
        "<SnapshotRetentionLimit>35</SnapshotRetentionLimit><SnapshotWindow>02:00-03:00</SnapshotWindow>"
        "</ReplicationGroup>"
    )
    cluster = (
        f"<CacheCluster><CacheClusterId>{node}</CacheClusterId><Engine>redis</Engine>"
        f"<ReplicationGroupId>{rule.instance}</ReplicationGroupId></CacheCluster>"
    )
    snapshots = "".join(
        f"<Snapshot><SnapshotName>{name}</SnapshotName><CacheClusterId>{node}</CacheClusterId>"
        "<SnapshotStatus>available</SnapshotStatus><SnapshotSource>automated</SnapshotSource><Engine>redis</Engine>"
        "<NodeSnapshots><NodeSnapshot><CacheNodeId>0001</CacheNodeId><CacheSize>1 GB</CacheSize>"
        f"<SnapshotCreateTime>{taken_at:%Y-%m-%dT%H:%M:%SZ}</SnapshotCreateTime></NodeSnapshot></NodeSnapshots></Snapshot>"
        for name, taken_at in backups
    )
    yield _described("DescribeReplicationGroups", f"<ReplicationGroups>{group}</ReplicationGroups>")
    yield _described("DescribeCacheClusters", f"<CacheClusters>{cluster}</CacheClusters>")
    yield _described("DescribeSnapshots", f"<Snapshots>{snapshots}</Snapshots>")


def _described(operation: str, found: str) -> tuple[str, bytes]:
    body = f"<{operation}Result>{found}</{operation}Result>"
    return operation, f'{_XML}<{operation}Response xmlns="{_ELASTICACHE_NAMES}">{body}</{operation}Response>'.encode()


# ----------------------------------------------------------------------- table


def _table(rule: Rule, last_run: RunReport) -> Iterator[tuple[str, Answer]]:
    """The rule's row, one run before this one, no lease and no open upload; writes are taken."""
    key = pack(rule_key(rule.name))
    row = json.dumps({"Item": {**key, **pack({"rule": rule.as_record()})}}).encode()

    def get_item(request: AWSPreparedRequest) -> bytes:
        return row if json.loads(request.body)["Key"] == key else b"{}"

    ran = pack({"sk": f"run#{last_run.started_at:%Y-%m-%d}#{last_run.run}", "report": last_run.as_record()})
    history = json.dumps({"Items": [ran], "Count": 1}).encode()

    def query(request: AWSPreparedRequest) -> bytes:
        return history if json.loads(request.body).get("ScanIndexForward") is False else b'{"Items": [], "Count": 0}'

    yield "GetItem", get_item
    yield "Query", query
    for write in ("PutItem", "UpdateItem", "DeleteItem"):
        yield write, _always(b"{}")
