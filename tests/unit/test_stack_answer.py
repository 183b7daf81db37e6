"""Sending CloudFormation its answer: one PUT that a link signed without a content type allows, and no link shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from aws_lambda_powertools import Logger

from rdbkeeper.aws.journal import make_journal
from rdbkeeper.aws.stack_answer import send
from rdbkeeper.domain.errors import FleetError, FleetRefused, FleetUnavailable

SECRET = "a secret"
EXPIRES = "1795230000"
ANSWER = {"Status": "SUCCESS", "Reason": "2 rules checked", "Data": {"Line": "é"}}


@dataclass
class Bucket:
    """Where CloudFormation waits: S3 as far as such a link needs it. `statuses` are what it answers next."""

    endpoint: str = ""
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[list[tuple[str, str]]] = field(default_factory=list)

    def link(self) -> str:
        signature = quote(sign("PUT", "", "/arn/answer"), safe="")
        return f"{self.endpoint}/arn/answer?AWSAccessKeyId=key&Expires={EXPIRES}&Signature={signature}"


def sign(method: str, content_type: str, path: str) -> str:
    """The signature of a link, after "Signing and authenticating REST requests (AWS signature version 2)"."""
    told = f"{method}\n\n{content_type}\n{EXPIRES}\n{path}"
    return base64.b64encode(hmac.new(SECRET.encode(), told.encode(), hashlib.sha1).digest()).decode()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            made.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            made.headers.append(list(self.headers.items()))
            url = urlsplit(self.path)
            given = parse_qs(url.query)["Signature"][0]
            right = hmac.compare_digest(given, sign("PUT", self.headers.get("Content-Type", ""), url.path))
            status = made.statuses.pop(0) if made.statuses else 200
            self.send_response(status if right else 403)
            if status == 307:
                self.send_header("Location", made.link())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def send_at_once(bucket: Bucket, pauses: list[float] | None = None) -> None:
    send(bucket.link(), ANSWER, bucket.endpoint, pause=(pauses if pauses is not None else []).append)


def test_the_answer_is_put_once_as_json(bucket: Bucket) -> None:
    pauses: list[float] = []
    send_at_once(bucket, pauses)
    assert [json.loads(body) for body in bucket.bodies] == [ANSWER]
    assert sum(pauses) == 0


def test_the_content_type_is_empty_as_the_link_was_signed(bucket: Bucket) -> None:
    send_at_once(bucket)
    (headers,) = bucket.headers
    assert [value for name, value in headers if name.lower() == "content-type"] == [""]


@pytest.mark.parametrize("statuses", [[500], [503, 503, 500], [429]])
def test_what_passes_is_tried_again_after_growing_pauses(bucket: Bucket, statuses: list[int]) -> None:
    bucket.statuses, tries = [*statuses], len(statuses) + 1
    pauses: list[float] = []
    send_at_once(bucket, pauses)
    assert len(bucket.bodies) == tries
    assert pauses == [0.0, 1.0, 2.0, 4.0][:tries]


@pytest.mark.parametrize("status", [403, 500, 307])
def test_what_does_not_pass_is_an_error_without_the_link_and_no_redirect_is_followed(
    bucket: Bucket, status: int
) -> None:
    bucket.statuses = [status] * 4
    with pytest.raises(FleetUnavailable, match=f"HTTP status {status}") as failed:
        send_at_once(bucket)
    assert len(bucket.bodies) == 4
    assert_nothing_is_shown(failed.value)


def test_other_hosts_are_sent_nothing_and_are_not_named(bucket: Bucket) -> None:
    with pytest.raises(FleetRefused, match="none of AWS's") as refused:
        send("https://example.org/answer?Signature=x", ANSWER, bucket.endpoint)
    assert_nothing_is_shown(refused.value)
    assert bucket.bodies == []


def test_a_host_that_does_not_answer_is_an_error_and_no_library_logs_the_link(
    monkeypatch: pytest.MonkeyPatch, kept_library_loggers: None
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("rdbkeeper.aws.journal.Logger", partial(Logger, service=f"answer-{id(stream)}", stream=stream))
    make_journal()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(FleetUnavailable, match="got no answer: NewConnectionError") as failed:
        send(f"{dead}/answer?Signature=x", ANSWER, dead, pause=lambda _: None)
    assert_nothing_is_shown(failed.value)
    assert "Signature" not in stream.getvalue()


def assert_nothing_is_shown(error: FleetError) -> None:
    """Neither the error, nor its cause, nor what was going on when it was raised may hold the link."""
    shown = f"{error!r} {error.as_record()} {error.__cause__!r} {error.__context__!r}"
    assert "Signature" not in shown and "example.org" not in shown
