"""Fetching a function's code package: only from where it belongs, and only the right one."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from aws_lambda_powertools import Logger

from rdbkeeper.aws.code_package import fetch_code
from rdbkeeper.aws.journal import make_journal
from rdbkeeper.domain.errors import FleetError, FleetRefused, FleetUnavailable
from rdbkeeper.ports import Record

PACKAGE = b"PK the zip file"
SECRET = "X-Amz-Signature=deadbeef"


class Packages(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, int]] = {"/good": 200, "/moved": 302, "/expired": 403}

    def do_GET(self) -> None:
        status = self.answers[self.path.split("?")[0]]
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/good")
        self.send_header("Content-Length", str(len(PACKAGE)))
        self.end_headers()
        self.wfile.write(PACKAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Packages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def function(link: str, package: bytes = PACKAGE) -> Record:
    digest = base64.b64encode(hashlib.sha256(package).digest()).decode()
    return {"Code": {"Location": link}, "Configuration": {"FunctionName": "prototype", "CodeSha256": digest}}


def test_the_package_is_fetched_and_checked(endpoint: str) -> None:
    assert fetch_code(function(f"{endpoint}/good?{SECRET}"), endpoint) == PACKAGE


def test_another_package_than_lambda_names_is_refused(endpoint: str) -> None:
    with pytest.raises(FleetRefused, match="CodeSha256"):
        fetch_code(function(f"{endpoint}/good?{SECRET}", b"another"), endpoint)


@pytest.mark.parametrize("path", ["moved", "expired"])
def test_no_redirect_is_followed_and_a_refusal_is_an_error(endpoint: str, path: str) -> None:
    with pytest.raises(FleetUnavailable, match="HTTP status"):
        fetch_code(function(f"{endpoint}/{path}?{SECRET}"), endpoint)


@pytest.mark.parametrize(
    "link",
    [
        "http://awslambda.s3.amazonaws.com/x",
        "https://amazonaws.com.example.org/x",
        "https://example.org/x",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "",
    ],
)
def test_other_hosts_are_not_asked(link: str) -> None:
    with pytest.raises(FleetRefused, match="none of AWS"):
        fetch_code(function(link), "https://lambda.us-east-1.amazonaws.com")


def test_no_error_holds_the_link(endpoint: str) -> None:
    with pytest.raises(FleetError) as gone:
        fetch_code(function(f"{endpoint}/expired?{SECRET}"), endpoint)
    with pytest.raises(FleetError) as refused:
        fetch_code(function(f"https://example.org/x?{SECRET}"), endpoint)
    assert SECRET not in f"{gone.value}{refused.value}"


def test_no_library_logs_the_link_when_the_connection_breaks(
    monkeypatch: pytest.MonkeyPatch, kept_library_loggers: None
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("rdbkeeper.aws.journal.Logger", partial(Logger, service=f"code-{id(stream)}", stream=stream))
    make_journal(rule="orders")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(FleetUnavailable, match="no answer"):
        fetch_code(function(f"{dead}/good?{SECRET}"), dead)
    assert SECRET not in stream.getvalue()
