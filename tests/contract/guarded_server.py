"""A server with one guard before moto, and boto3 clients for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Front, Guard, HttpServer

ACCOUNT_ID = "000000000000"


@contextlib.contextmanager
def guarded(guards: dict[str, Guard]) -> Iterator[Callable[..., Any]]:
    """Serve moto behind the guards; give a function that makes boto3 clients which do not retry."""

    def no_control(_: Request) -> Response:
        return Response(status=404)

    server = HttpServer(0)
    server.start(Front(guards, no_control, ACCOUNT_ID))
    session = boto3.Session("test", "test", region_name="us-east-1")
    clients: list[Any] = []

    def client(service: str, max_attempts: int = 1) -> Any:
        config = Config(retries={"total_max_attempts": max_attempts})
        clients.append(session.client(service, endpoint_url=f"http://127.0.0.1:{server.port}", config=config))
        return clients[-1]

    try:
        yield client
    finally:
        for made in clients:
            made.close()
        server.close()
