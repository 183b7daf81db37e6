"""Serves backup files to whoever has a link, as COS's "GET Object" does: ranges, ETag, If-Match, errors in XML."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from tests.local_cloud.tencentdb.file_faults import EXCESS_BYTES, LONGER_BYTES, Content, FileFaults
from tests.local_cloud.tencentdb.links import FileError, access_denied, check_link, expired, no_such_key
from tests.local_cloud.tencentdb.records import BACKUP_EXPIRED, BackupFile
from tests.local_cloud.tencentdb.restrictions import Restriction
from tests.local_cloud.tencentdb.state import State

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_ERROR_PAGE = "<!DOCTYPE html><html><body><h1>The service is being maintained</h1></body></html>"


@dataclass(frozen=True)
class Read:
    """One request for a file: its name, the Range header, and the status that it was answered with."""

    file_name: str
    range: str
    status: int


class FileServer:
    """The store that the links lead to; `reads` tells what was asked of it so far."""

    def __init__(self, state: State, faults: FileFaults) -> None:
        self._state = state
        self._faults = faults
        self.reads: list[Read] = []

    def answer(self, request: Request) -> Response:
        """Return the answer to one request."""
        try:
            response = self._serve(request)
        except FileError as error:
            response = _error(error)
        response.headers["x-cos-request-id"] = uuid.uuid4().hex
        name = request.path.rpartition("/-")[2]
        self.reads.append(Read(name, request.headers.get("Range", ""), response.status_code))
        return response

    def _serve(self, request: Request) -> Response:
        path, state = request.path, self._state
        signature = check_link(request.method, path, request.args.get("sign"), state.now())
        found = state.find_file(path)
        if signature in state.ended_links:
            raise expired()
        if found is None:
            raise no_such_key()
        backup, file = found
        restriction = state.restrictions.get(backup.instance.region, Restriction())
        if not state.link_restrictions.get(signature, restriction).allows(request.remote_addr or ""):
            raise access_denied()
        content = self._content(file)
        first, last = _read_range(request.headers.get("Range"), content.length)
        self._break(path, first, signature, backup.backup_id)
        replaced = self._replacement(path, first)
        if replaced is not None:
            return replaced
        etag = file.etag if not self._faults.strike(path, "changed", first) else f'"{"0" * 32}"'
        if request.headers.get("If-Match", etag) not in (etag, "*"):
            raise FileError(412, "PreconditionFailed", "At least one of the preconditions did not hold.")
        whole = "Range" not in request.headers or self._faults.strike(path, "ignore-range", first) is not None
        return self._send(path, content, etag, None if whole else (first, last))

    def _content(self, file: BackupFile) -> Content:
        anywhere = file.size_bytes + LONGER_BYTES
        short = self._faults.strike(file.path, "short", 0, anywhere)
        flip = self._faults.strike(file.path, "flip", 0, anywhere)
        return Content(
            stored=file.stored,
            size_bytes=file.size_bytes,
            end=short.at if short else None,
            flipped=flip.at if flip else None,
            extra_bytes=LONGER_BYTES if self._faults.strike(file.path, "longer", 0) else 0,
        )

    def _break(self, path: str, first: int, signature: str, backup_id: str) -> None:
        if self._faults.strike(path, "expire", first):
            self._state.ended_links.add(signature)
            raise expired()
        if self._faults.strike(path, "gone", first):
            self._state.change_backup(backup_id, status=BACKUP_EXPIRED)
            raise no_such_key()
        if self._faults.strike(path, "busy", first):
            raise FileError(503, "SlowDown", "Please reduce your request rate.")

    def _replacement(self, path: str, first: int) -> Response | None:
        if self._faults.strike(path, "error-page", first):
            return Response(_ERROR_PAGE, status=200, content_type="text/html; charset=utf-8")
        if fault := self._faults.strike(path, "redirect", first):
            return Response("", status=302, headers={"Location": fault.location})
        return None

    def _send(self, path: str, content: Content, etag: str, span: tuple[int, int] | None) -> Response:
        first, last = span or (0, content.length - 1)
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        length = last - first + 1
        if span is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{content.length}"
            if self._faults.strike(path, "excess", first):
                length += EXCESS_BYTES
        headers["Content-Length"] = str(length)
        cut = self._faults.strike(path, "cut", first, last)
        body = self._until_closing(content.chunks(first, cut.at - first if cut else length))
        status = 200 if span is None else 206
        return Response(body, status=status, headers=headers, content_type="application/octet-stream")

    def _until_closing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._state.closing.is_set():
                return
            yield chunk


def _read_range(header: str | None, length: int) -> tuple[int, int]:
    """Return the first and the last byte that are asked for. Raises FileError when the file has none of them."""
    match = _RANGE.fullmatch(header or "bytes=0-")
    if match is None or not any(match.groups()):
        return 0, length - 1
    start, end = match.groups()
    if not start:
        return max(0, length - int(end)), length - 1
    first, last = int(start), min(int(end), length - 1) if end else length - 1
    if first >= length:
        raise FileError(416, "InvalidRange", "The requested range cannot be satisfied.")
    return first, last


def _error(error: FileError) -> Response:
    body = (
        "<?xml version='1.0' encoding='utf-8' ?>\n<Error>"
        f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
    )
    return Response(body, status=error.status, content_type="application/xml")
