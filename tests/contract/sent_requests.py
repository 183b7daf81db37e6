"""The requests that boto3 would send, caught before they leave."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from werkzeug.wrappers import Request

from tests.local_cloud.permissions.calls import Call, read, signer_of

# Path-style addresses, as the local cloud has them; nothing listens there.
_PLACE = {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}
_KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}


class _CaughtError(Exception):
    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__(request.url)
        self.request = request


def _catch(request: AWSPreparedRequest, **_: Any) -> None:
    raise _CaughtError(request)


@cache
def _client(service: str) -> Any:
    client = boto3.client(service, config=Config(s3={"addressing_style": "path"}), **_PLACE, **_KEYS)
    client.meta.events.register("before-send", _catch)
    return client


def sent(service: str, operation: str, **parameters: Any) -> Request:
    """Return the request that boto3 makes of a client's method and its parameters."""
    try:
        getattr(_client(service), operation)(**parameters)
    except _CaughtError as caught:
        return _received(caught.request)
    raise AssertionError(f"{service}.{operation} sent nothing")


def _received(request: AWSPreparedRequest) -> Request:
    url = urlsplit(request.url)
    body = request.body.read() if hasattr(request.body, "read") else request.body
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    received = Request.from_values(
        path=url.path,
        query_string=url.query,
        base_url=f"{url.scheme}://{url.netloc}",
        method=request.method,
        headers={name: value for name, value in headers.items() if name.lower() != "content-length"},
        data=body or b"",
    )
    # What a server keeps of the path as it was sent: a slash within a part stays within it.
    received.environ["RAW_URI"] = f"{url.path}?{url.query}"
    return received


def call_of(service: str, operation: str, **parameters: Any) -> Call:
    """Return what the local cloud reads from that request."""
    request = sent(service, operation, **parameters)
    signer = signer_of(request)
    assert signer is not None
    return read(signer.service, request)
