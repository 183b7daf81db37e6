"""Reads ranges of backup files by their links, over HTTPS, and believes nothing that was not asked for.

Facts: "GET Object" and "Error Codes" of COS, Tencent Cloud's object store, and RFC 9110 on ranges. No redirect is
followed. A connection is made to the very address that was looked at, and proves by its certificate to be the host.
"""

from __future__ import annotations

import logging
import re
import ssl
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from rdbkeeper.domain.errors import (
    BackupGone,
    LinkMisanswered,
    LinkRefused,
    SourceError,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.ports import ByteStream
from rdbkeeper.sources.tencentdb.answers import FileLink
from rdbkeeper.sources.tencentdb.hosts import FileHosts, Target

_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_MOST_AT_ONCE_BYTES = 1 << 20
_LONGEST_ERROR_BYTES = 4096
_CONNECTIONS = 16
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_OVER = re.compile(rb"<Message>[^<]*expired[^<]*</Message>", re.IGNORECASE)
_AGAIN_HINT = "The next attempt reads this part again."
ODD_HINT = (
    "Nothing of it was kept. The next run takes new links; if it repeats, download this backup in the provider's "
    "console, and look at what comes."
)


class LinkTurnedAway(Exception):
    """The store serves this link to nobody any more, as its time has passed (`is_over`), or not to us."""

    def __init__(self, code: str, *, is_over: bool) -> None:
        super().__init__(f"403 {code}".rstrip())
        self.is_over = is_over


class OpenedRange(NamedTuple):
    """A range that is being read, how long its whole file is, and the tag that pins the file's bytes."""

    stream: ByteStream
    total_bytes: int
    etag: str


class FileStore:
    """Opens ranges of files; keeps its connections, and may be used by several threads."""

    def __init__(self, hosts: FileHosts, *, certificates: str = "") -> None:
        self._hosts = hosts
        self._certificates = certificates
        self._pools: dict[tuple[str, str, int, str], urllib3.HTTPConnectionPool] = {}
        self._lock = Lock()
        # It writes addresses with their signatures down: each request at the level of debugging, some as warnings.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    def open(self, link: FileLink, first_byte: int, length_bytes: int, what: str, *, etag: str = "") -> OpenedRange:
        """Open exactly that range of the file, of those very bytes where a tag is given.

        Raises LinkRefused, LinkTurnedAway, LinkMisanswered, BackupGone, StagedFileChanged, SourceUnavailable.
        """
        target = self._hosts.aim(link.url)
        headers = {
            "Host": target.authority,
            "Range": f"bytes={first_byte}-{first_byte + length_bytes - 1}",
            "Accept-Encoding": "identity",
            **({"If-Match": etag} if etag else {}),
        }
        answer = self._send(target, headers, what)
        try:
            return self._read_head(answer, first_byte, length_bytes, what, etag)
        except (SourceError, LinkTurnedAway):
            answer.close()
            raise

    def _send(self, target: Target, headers: dict[str, str], what: str) -> urllib3.BaseHTTPResponse:
        """The answer, of which only the head was read. What urllib3 raises quotes the link, and goes no further."""
        try:
            return self._pool(target).urlopen(
                "GET",
                target.path,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except (HTTPError, OSError) as error:
            failed = type(error)
        if issubclass(failed, SSLError | ssl.SSLError):
            raise LinkRefused(
                f"{what}: the host {target.host} did not prove to be itself.",
                hint="Something between this function and the provider may be listening. Nothing was read.",
            )
        raise SourceUnavailable(f"{what} got no answer: {failed.__name__}.", hint=_AGAIN_HINT)

    def _read_head(
        self, answer: urllib3.BaseHTTPResponse, first_byte: int, length_bytes: int, what: str, wanted_etag: str
    ) -> OpenedRange:
        if answer.status != 206:
            raise _refusal(answer, what)
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        length = answer.headers.get("Content-Length")
        if (
            found is None
            or (int(found[1]), int(found[2])) != (first_byte, first_byte + length_bytes - 1)
            or length not in (None, str(length_bytes))
            or answer.headers.get("Content-Encoding", "identity") != "identity"
        ):
            raise LinkMisanswered(f"{what}: another range came than was asked for.", hint=ODD_HINT)
        etag = answer.headers.get("ETag", "")
        if not etag:
            raise LinkMisanswered(f"{what}: nothing came with it that tells its bytes from others.", hint=ODD_HINT)
        if wanted_etag and etag != wanted_etag:
            raise _changed(what)  # a store between here and there may not know If-Match
        return OpenedRange(_Stream(answer, length_bytes, what), int(found[3]), etag)

    def _pool(self, target: Target) -> urllib3.HTTPConnectionPool:
        key = (target.scheme, target.host, target.port, target.address)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._make_pool(target)
            return self._pools[key]

    def _make_pool(self, target: Target) -> urllib3.HTTPConnectionPool:
        if target.scheme == "http":
            return urllib3.HTTPConnectionPool(target.address, target.port, maxsize=_CONNECTIONS, timeout=_TIMEOUT)
        return urllib3.HTTPSConnectionPool(
            target.address,
            target.port,
            maxsize=_CONNECTIONS,
            timeout=_TIMEOUT,
            ssl_context=self._tls,
            server_hostname=target.host,
            assert_hostname=target.host,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        import certifi

        context = ssl.create_default_context(cafile=self._certificates or certifi.where())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class _Stream:
    """The bytes of one range; more than it has are never taken."""

    def __init__(self, answer: Any, length_bytes: int, what: str) -> None:
        self._answer = answer
        self._left_bytes = length_bytes
        self._what = what

    def readinto(self, buffer: memoryview, /) -> int:
        room = buffer[: min(self._left_bytes, _MOST_AT_ONCE_BYTES)]
        if not room:
            return 0
        try:
            count = int(self._answer.readinto(room))
        except (HTTPError, OSError) as error:
            failed = type(error).__name__
        else:
            self._left_bytes -= count
            return count
        raise SourceUnavailable(f"{self._what}: the connection broke off: {failed}.", hint=_AGAIN_HINT)

    def close(self) -> None:
        # Once the whole answer was read its connection is in the pool again, and stays open.
        self._answer.close()


def _refusal(answer: urllib3.BaseHTTPResponse, what: str) -> SourceError | LinkTurnedAway:
    """What an answer means that is not the range."""
    status = answer.status
    if 300 <= status < 400:
        return LinkRefused(
            f"{what}: the link led on to somewhere else ({status}), where it was not followed.",
            hint="Nothing was read. If it repeats, ask the provider why its links lead elsewhere.",
        )
    body = _read_error(answer)
    named = _CODE.search(body)
    code = named[1].decode() if named else ""
    if status == 403:
        return LinkTurnedAway(code, is_over=_OVER.search(body) is not None)
    if status == 404:
        return BackupGone(f"{what}: it is gone.", hint="Its backup was deleted or has expired at the source.")
    if status == 412:
        return _changed(what)
    if status >= 500 or status == 429:
        return SourceUnavailable(f"{what}: the store answered {status} {code}".rstrip() + ".", hint=_AGAIN_HINT)
    kind = "with something else than the range that was asked for" if status == 200 else f"{status} {code}".rstrip()
    return LinkMisanswered(f"{what}: it was answered {kind}.", hint=ODD_HINT)


def _changed(what: str) -> StagedFileChanged:
    return StagedFileChanged(
        f"{what}: it is another file than the one that was measured.", hint="The next run measures it anew."
    )


def _read_error(answer: urllib3.BaseHTTPResponse) -> bytes:
    try:
        return answer.read(_LONGEST_ERROR_BYTES)
    except (HTTPError, OSError):
        return b""
