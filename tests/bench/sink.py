"""An S3 endpoint that counts what it is sent and keeps none of it: `python -m tests.bench.sink PORT`.

It is a process of its own with a thread for each connection, and has the kernel throw the bodies away where they lie,
so that it costs as little as a receiver can. It answers uploads, looks and listings as S3 does, but checks nothing.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

COUNTS_PATH = "/-/counts"
_AT_ONCE_BYTES = 1 << 20
_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_CRC_HEADER = "x-amz-checksum-crc64nvme"


@dataclass(frozen=True)
class Request:
    """A request's head."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @classmethod
    def parse(cls, head: bytes) -> Request:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(method, unquote(parts.path), parse_qs(parts.query, keep_blank_values=True), headers)

    @property
    def body_bytes(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def content_bytes(self) -> int:
        """The length of what is to be stored, without the framing that some clients send around it."""
        return int(self.headers.get("x-amz-decoded-content-length", self.body_bytes))


@dataclass(frozen=True)
class Answer:
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def encode(self, *, with_body: bool) -> bytes:
        headers = {"Content-Length": str(len(self.body)), "x-amz-request-id": "0", **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status}\r\n{lines}\r\n{self.body if with_body else ''}".encode()


@dataclass
class Store:
    """What was sent: the bytes of all bodies, the sizes of each upload's parts, and each object's size and sum."""

    body_bytes: int = 0
    uploads: dict[str, dict[int, int]] = field(default_factory=dict)
    objects: dict[str, tuple[int, str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Request, received_bytes: int) -> Answer:
        """Do what a request asks, once its body is there."""
        with self.lock:
            if request.path == COUNTS_PATH:
                return self._counts(request)
            if request.method in ("PUT", "POST"):
                self.body_bytes += received_bytes
            act = {"PUT": self._put, "POST": self._post, "HEAD": self._head, "DELETE": self._delete}
            return act.get(request.method, _list)(request)

    def _counts(self, request: Request) -> Answer:
        if request.method == "DELETE":
            self.body_bytes = 0
            self.uploads.clear()
            self.objects.clear()
        sizes = {path: size_bytes for path, (size_bytes, _) in self.objects.items()}
        return Answer(body=json.dumps({"body_bytes": self.body_bytes, "objects": sizes, "open": len(self.uploads)}))

    def _put(self, request: Request) -> Answer:
        crc = request.headers.get(_CRC_HEADER, "")
        headers = {"ETag": '"part"', **({_CRC_HEADER: crc} if crc else {})}
        if "uploadId" in request.query:
            parts = self.uploads[request.query["uploadId"][0]]
            parts[int(request.query["partNumber"][0])] = request.content_bytes
        else:
            self.objects[request.path] = (request.content_bytes, crc)
        return Answer(headers=headers)

    def _post(self, request: Request) -> Answer:
        _, bucket, key = request.path.split("/", 2)
        named = f"<Bucket>{bucket}</Bucket><Key>{key}</Key>"
        if "uploads" in request.query:
            upload_id = f"upload-{len(self.uploads) + len(self.objects)}"
            self.uploads[upload_id] = {}
            return _xml("InitiateMultipartUploadResult", f"{named}<UploadId>{upload_id}</UploadId>")
        parts = self.uploads.pop(request.query["uploadId"][0])
        self.objects[request.path] = (sum(parts.values()), request.headers.get(_CRC_HEADER, ""))
        return _xml("CompleteMultipartUploadResult", f'{named}<ETag>"whole-{len(parts)}"</ETag>')

    def _head(self, request: Request) -> Answer:
        if request.path.count("/") < 2:
            return Answer()
        if request.path not in self.objects:
            return Answer("404 Not Found")
        size_bytes, crc = self.objects[request.path]
        sums = {_CRC_HEADER: crc, "x-amz-checksum-type": "FULL_OBJECT"} if crc else {}
        moment = "Sat, 21 Nov 2026 03:00:00 GMT"
        return Answer(headers={"Content-Length": str(size_bytes), "ETag": '"whole"', "Last-Modified": moment, **sums})

    def _delete(self, request: Request) -> Answer:
        self.uploads.pop(request.query.get("uploadId", [""])[0], None)
        self.objects.pop(request.path, None)
        return Answer("204 No Content")


def _list(request: Request) -> Answer:
    """Listings are empty, whatever they are of."""
    kind = "ListMultipartUploadsResult" if "uploads" in request.query else "ListBucketResult"
    return _xml(kind, "<IsTruncated>false</IsTruncated>")


def _xml(name: str, content: str) -> Answer:
    return Answer(headers={"Content-Type": "application/xml"}, body=f"{_XML}<{name} {_NAMESPACE}>{content}</{name}>")


class Connection:
    """One client's connection: requests one after the other."""

    def __init__(self, stream: socket.socket, store: Store) -> None:
        self._stream = stream
        self._store = store
        self._ahead = b""
        self._buffer = bytearray(_AT_ONCE_BYTES)

    def serve(self) -> None:
        """Answer until the client goes."""
        self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._stream:
            try:
                for request in self._requests():
                    if "transfer-encoding" in request.headers:
                        self._stream.sendall(
                            Answer("501 Not Implemented", {"Connection": "close"}).encode(with_body=False)
                        )
                        return
                    if request.headers.get("expect", "").lower() == "100-continue":
                        self._stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    received_bytes = self._discard(request.body_bytes)
                    answer = self._store.answer(request, received_bytes)
                    self._stream.sendall(answer.encode(with_body=request.method != "HEAD"))
            except OSError:
                return  # the client has gone

    def _requests(self) -> Iterator[Request]:
        while True:
            while b"\r\n\r\n" not in self._ahead:
                more = self._stream.recv(1 << 14)
                if not more:
                    return
                self._ahead += more
            head, _, self._ahead = self._ahead.partition(b"\r\n\r\n")
            yield Request.parse(head)

    def _discard(self, size_bytes: int) -> int:
        """Receive a body of that length and keep none of it; MSG_TRUNC spares even the copy out of the kernel."""
        received_bytes = min(len(self._ahead), size_bytes)
        self._ahead = self._ahead[received_bytes:]
        while received_bytes < size_bytes:
            wanted = min(_AT_ONCE_BYTES, size_bytes - received_bytes)
            count = self._stream.recv_into(self._buffer, wanted, socket.MSG_TRUNC)
            if count == 0:
                raise ConnectionResetError("a body ended early")
            received_bytes += count
        return received_bytes


def main(port: int) -> None:
    """Serve on a loopback port until the process is ended."""
    store = Store()
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=Connection(stream, store).serve, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
