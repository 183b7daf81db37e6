"""S3's listings of uploads and of their parts, which moto leaves incomplete."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from urllib.parse import quote
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from tests.local_cloud.s3_request import NAMESPACE, S3Call, S3Error
from tests.local_cloud.s3_uploads import KeptUpload, StoredPart

_PAGE = 1000


def _xml(root: str, fields: Iterable[tuple[str, str]], rows: Iterable[str]) -> Response:
    head = "".join(_field(name, value) for name, value in fields)
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{head}{"".join(rows)}</{root}>'
    return Response(body, content_type="application/xml")


def _field(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _time(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _limit(request: Request, name: str) -> int:
    text = request.args.get(name, str(_PAGE))
    if not text.isdigit():
        raise S3Error(400, "InvalidArgument", f"Provided {name} not an integer or within integer range")
    return min(int(text), _PAGE)


def parts_page(request: Request, upload: KeptUpload) -> Response:
    """Return the answer to ListParts, sums included."""
    after = int(request.args.get("part-number-marker", "0") or 0)
    limit = _limit(request, "max-parts")
    rest = [upload.parts[number] for number in sorted(upload.parts) if number > after]
    page = rest[:limit]
    fields = [
        ("Bucket", upload.bucket),
        ("Key", upload.key),
        ("UploadId", upload.upload_id),
        ("StorageClass", "STANDARD"),
        ("PartNumberMarker", str(after)),
        ("NextPartNumberMarker", str(page[-1].number if page else 0)),
        ("MaxParts", str(limit)),
        ("IsTruncated", str(len(rest) > len(page)).lower()),
        ("ChecksumAlgorithm", upload.algorithm.upper()),
        ("ChecksumType", upload.type),
    ]
    return _xml("ListPartsResult", fields, (_part_row(part, upload.algorithm.upper()) for part in page))


def _part_row(part: StoredPart, algorithm: str) -> str:
    fields = [
        ("PartNumber", str(part.number)),
        ("LastModified", _time(part.put_at)),
        ("ETag", part.etag),
        ("Size", str(part.size_bytes)),
        (f"Checksum{algorithm}", part.value),
    ]
    return "<Part>" + "".join(_field(name, value) for name, value in fields) + "</Part>"


def uploads_page(request: Request, call: S3Call, open_uploads: Sequence[KeptUpload]) -> Response:
    """Return the answer to ListMultipartUploads: paged, in order, with the times when they began."""
    if request.args.get("delimiter"):
        message = "The local cloud lists uploads without a delimiter only."
        raise S3Error(501, "NotImplemented", message)
    limit = _limit(request, "max-uploads")
    rest = _after_marker(request, [upload for upload in open_uploads if upload.key.startswith(call.listed_prefix)])
    page = rest[:limit]
    encoded = request.args.get("encoding-type") == "url"

    def text(key: str) -> str:
        return quote(key, safe="/*-._~") if encoded else key

    fields = [
        ("Bucket", call.bucket),
        ("KeyMarker", text(request.args.get("key-marker", ""))),
        ("UploadIdMarker", request.args.get("upload-id-marker", "")),
        ("Prefix", text(call.listed_prefix)),
        ("MaxUploads", str(limit)),
        ("IsTruncated", str(len(rest) > len(page)).lower()),
    ]
    if len(rest) > len(page) and page:
        fields += [("NextKeyMarker", text(page[-1].key)), ("NextUploadIdMarker", page[-1].upload_id)]
    if encoded:
        fields.append(("EncodingType", "url"))
    return _xml("ListMultipartUploadsResult", fields, (_upload_row(upload, text(upload.key)) for upload in page))


def _after_marker(request: Request, uploads: list[KeptUpload]) -> list[KeptUpload]:
    ordered = sorted(uploads, key=lambda upload: (upload.key.encode(), upload.initiated_at, upload.upload_id))
    key_marker = request.args.get("key-marker", "")
    id_marker = request.args.get("upload-id-marker", "")
    if not key_marker:
        return ordered
    for position, upload in enumerate(ordered):
        if (upload.key, upload.upload_id) == (key_marker, id_marker):
            return ordered[position + 1 :]
    if id_marker:
        # The upload of the marker has ended meanwhile: what of its key began later cannot be told, so all of it.
        return [upload for upload in ordered if upload.key.encode() >= key_marker.encode()]
    return [upload for upload in ordered if upload.key.encode() > key_marker.encode()]


def _upload_row(upload: KeptUpload, key: str) -> str:
    fields = [
        ("Key", key),
        ("UploadId", upload.upload_id),
        ("StorageClass", "STANDARD"),
        ("Initiated", _time(upload.initiated_at)),
        ("ChecksumAlgorithm", upload.algorithm.upper()),
        ("ChecksumType", upload.type),
    ]
    return "<Upload>" + "".join(_field(name, value) for name, value in fields) + "</Upload>"
