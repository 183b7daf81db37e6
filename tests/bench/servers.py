"""The processes that the benches talk to: nginx as the source of the file, and the sink that counts."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.sink import COUNTS_PATH

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
STAGING_BUCKET = "staging"
# As ElastiCache names what it exports; see the source's adapter.
EXPORT_NAME = "rdbkeeper-orders-bench"
OBJECT_NAME = f"{EXPORT_NAME}-0001.rdb"
_given_ports: set[int] = set()

_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/served;
        location = /{bucket} {{ default_type application/xml; return 200 '{listing}'; }}
    }}
}}
"""


def why_not() -> str:
    """Why nothing can be measured here, or ""."""
    if not sys.platform.startswith("linux"):
        return "processes are measured by what Linux tells of them"
    return "" if nginx_path() else "nginx, which serves the file, is not installed (Debian: nginx-light)"


def end_on_signal() -> None:
    """Have a request to end this process unwind it, so that what it started ends as well."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def free_port() -> int:
    """A port that nobody listens on at this moment, and that this process was not given before.

    It is below the range that the kernel gives to outgoing connections, of which there may be many until it is used.
    """
    for port in random.sample(range(8_000, 12_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given_ports:
            _given_ports.add(port)
            return port
    raise RuntimeError("No free port between 8000 and 12000 on 127.0.0.1 for a server; free some.")


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until something answers on a port. Raises RuntimeError when the process ends first, or never answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer on port {port}")


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --------------------------------------------------------------------- source


@dataclass(frozen=True)
class FileSource:
    """A server that holds one RDB file as an exported backup: `url` is the file's, `endpoint` the server's."""

    endpoint: str
    size_bytes: int

    @property
    def url(self) -> str:
        return f"{self.endpoint}/{STAGING_BUCKET}/{OBJECT_NAME}"


@contextmanager
def file_source(folder: Path, write: Callable[[Path], object]) -> Iterator[FileSource]:
    """A server of one file, written by `write`, as a staging bucket would hold it: nginx."""
    served = folder / "served" / STAGING_BUCKET / OBJECT_NAME
    served.parent.mkdir(parents=True)
    write(served)
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _NGINX.format(folder=folder, port=port, bucket=STAGING_BUCKET, listing=_listing(served)), encoding="ascii"
    )
    command = [nginx_path(), "-p", str(folder), "-c", str(configuration), "-e", str(folder / "nginx.log")]
    with running(command, folder / "nginx.out") as process:
        await_port(port, process)
        yield FileSource(f"http://127.0.0.1:{port}", served.stat().st_size)


def nginx_path() -> str:
    """Where nginx is, or "" where it is not installed; Debian keeps it where a user's PATH does not look."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""


def _listing(served: Path) -> str:
    """What S3 answers to a listing of the bucket; nginx makes a tag of the file's time and size."""
    facts = served.stat()
    etag = f"&quot;{int(facts.st_mtime):x}-{facts.st_size:x}&quot;"
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>'
        f"<Contents><Key>{served.name}</Key><Size>{facts.st_size}</Size><ETag>{etag}</ETag></Contents>"
        "</ListBucketResult>"
    )


# ----------------------------------------------------------------------- sink


class Sink:
    """The counting sink, as the bench asks it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.endpoint = f"http://127.0.0.1:{port}"

    def forget(self) -> None:
        """Count from nothing on."""
        self._ask("DELETE")

    def check(self, size_bytes: int) -> None:
        """Raise RuntimeError unless one object of exactly that size, and at least so many bytes, have arrived."""
        counts = self._ask("GET")
        if size_bytes not in counts["objects"].values() or counts["body_bytes"] < size_bytes or counts["open"]:
            raise RuntimeError(f"{size_bytes:,} bytes were to arrive at the sink; it counted {counts}")

    def _ask(self, method: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=STOP_TIMEOUT_S)
        connection.request(method, COUNTS_PATH)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return answer


@contextmanager
def counting_sink(folder: Path) -> Iterator[Sink]:
    """The sink as a process of its own."""
    port = free_port()
    with running([sys.executable, "-m", "tests.bench.sink", str(port)], folder / "sink.log") as process:
        await_port(port, process)
        yield Sink(port)
