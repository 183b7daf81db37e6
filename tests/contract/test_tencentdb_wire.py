"""What the TencentDB source makes of servers that are not what they should be: certificates, redirects, odd answers."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rdbkeeper.aws.secrets import ApiKey
from rdbkeeper.domain.errors import (
    LinkMisanswered,
    LinkRefused,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    StagedFileChanged,
)
from rdbkeeper.sources.tencentdb.answers import FileLink
from rdbkeeper.sources.tencentdb.api import TencentApi
from rdbkeeper.sources.tencentdb.files import FileStore
from rdbkeeper.sources.tencentdb.hosts import FileHosts
from tests.fakes.clock import FakeClock

DATA = b"REDIS0011 some bytes"
HOST = "backups.cos.ap-guangzhou.myqcloud.com"
Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers so, and its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate_for(host: str, folder: Path) -> Path:
    """A certificate of that host, signed by itself, with its key in the same file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / f"{host}.pem"
    path.write_bytes(
        certificate.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    return path


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def serve_file(handler: BaseHTTPRequestHandler) -> None:
    assert handler.headers["Host"].startswith(HOST)
    first, _, last = handler.headers["Range"].removeprefix("bytes=").partition("-")
    body = DATA[int(first) : int(last) + 1]
    send(handler, 206, body, Content_Range=f"bytes {first}-{last}/{len(DATA)}", ETag='"one"')


@contextmanager
def a_file_at(certificate: Path, trusted: str) -> Iterator[tuple[FileStore, FileLink]]:
    """A host with that certificate, and a store that trusts those."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(serve_file, context) as port:
        hosts = FileHosts((f"{HOST}:{port}",), allows_private=True, resolve=lambda host, port: ["127.0.0.1"])
        yield FileStore(hosts, certificates=trusted), FileLink("a.rdb", 0, f"https://{HOST}:{port}/a.rdb?sign=s3cret")


def test_a_host_that_proves_to_be_itself_is_read(tmp_path: Path) -> None:
    certificate = certificate_for(HOST, tmp_path)
    with a_file_at(certificate, str(certificate)) as (store, link):
        opened = store.open(link, 0, 5, "Reading")
        buffer = memoryview(bytearray(20))
        with closing(opened.stream) as stream:
            assert bytes(buffer[: stream.readinto(buffer)]) == b"REDIS"
        assert (opened.total_bytes, opened.etag) == (len(DATA), '"one"')


def test_a_host_with_another_host_s_certificate_is_refused(tmp_path: Path) -> None:
    certificate = certificate_for("other.myqcloud.com", tmp_path)
    with a_file_at(certificate, str(certificate)) as (store, link), pytest.raises(LinkRefused) as refused:
        store.open(link, 0, 5, "Reading")
    assert "s3cret" not in str(refused.value)


def test_a_host_whose_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificate = certificate_for(HOST, tmp_path)
    with a_file_at(certificate, "") as (store, link), pytest.raises(LinkRefused):
        store.open(link, 0, 5, "Reading")


def read_odd(answer: Answer, etag: str = "") -> bytes:
    with serving(answer) as port:
        hosts = FileHosts((f"127.0.0.1:{port}",), allows_private=True)
        link = FileLink("a.rdb", 0, f"http://127.0.0.1:{port}/a.rdb")
        buffer, count = memoryview(bytearray(20)), 0
        with closing(FileStore(hosts).open(link, 2, 5, "Reading", etag=etag).stream) as stream:
            while more := stream.readinto(buffer[count:]):
                count += more
        return bytes(buffer[:count])


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"one"'},
        {"ETag": '"one"', "Content_Range": "bytes 0-4/20"},
        {"ETag": '"one"', "Content_Range": "bytes 2-6/*"},
        {"ETag": '"one"', "Content_Range": "bytes 2-7/20"},
        {"ETag": '"one"', "Content_Range": "bytes 2-6/20", "Content_Encoding": "gzip"},
        {"Content_Range": "bytes 2-6/20"},
    ],
)
def test_a_part_that_is_not_the_range_is_not_read(headers: dict[str, str]) -> None:
    with pytest.raises(LinkMisanswered):
        read_odd(lambda handler: send(handler, 206, DATA[2:7], **headers))


def test_what_follows_the_range_is_never_taken() -> None:
    def chatter(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(206)
        for name, value in {"ETag": '"one"', "Content-Range": "bytes 2-6/20", "Transfer-Encoding": "chunked"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"14\r\n" + DATA + b"\r\n0\r\n\r\n")

    assert read_odd(chatter) == DATA[:5]


def test_another_file_is_noticed_by_its_tag_whether_the_store_looks_or_we() -> None:
    asked: list[str] = []

    def serve(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["If-Match"])
        send(handler, 206, DATA[2:7], ETag='"two"', Content_Range="bytes 2-6/20")

    with pytest.raises(StagedFileChanged):
        read_odd(serve, etag='"one"')
    assert read_odd(serve, etag='"two"') == DATA[2:7]
    assert asked == ['"one"', '"two"']


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    asked: list[str] = []

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, status, b"", Location="/moved?sign=s3cret")

    with pytest.raises(LinkRefused) as refused:
        read_odd(redirect)
    assert asked == ["/a.rdb"]
    assert "moved" not in str(refused.value)


def call_odd(answer: Answer) -> dict[str, object]:
    with serving(answer) as port:
        api = TencentApi(
            lambda: ApiKey("AKIDx", "x", "s3cret"),
            "ap-guangzhou",
            FakeClock(),
            endpoint=f"http://127.0.0.1:{port}",
            allows_private=True,
        )
        return api.call("DescribeInstances", "Listing", repeats=False)


@pytest.mark.parametrize(
    "status, body, kind, error",
    [
        (200, b"<html>s3cret</html>", "text/html", SourceUnavailable),
        (200, b"[]", "application/json", SourceUnavailable),
        (200, b'{"Response": null}', "application/json", SourceUnavailable),
        (200, b"", "application/json", SourceUnavailable),
        (500, b"s3cret", "text/html", SourceUnavailable),
        (
            200,
            b'{"Response": {"Error": {"Code": "AuthFailure.TokenFailure", "Message": "m"}, "RequestId": "r"}}',
            "application/json; charset=utf-8",
            SourceDenied,
        ),
    ],
)
def test_an_odd_answer_of_the_api_is_an_error_that_shows_nothing_of_it(
    status: int, body: bytes, kind: str, error: type[SourceError]
) -> None:
    with pytest.raises(error) as caught:
        call_odd(lambda handler: send(handler, status, body, Content_Type=kind))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_call_is_sent_on_to_nobody() -> None:
    asked: list[str] = []

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 307, b"", Location="/elsewhere")

    with pytest.raises(SourceUnavailable, match="TooManyRedirects"):
        call_odd(redirect)
    assert set(asked) == {"/"}
