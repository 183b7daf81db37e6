"""Starts S3 servers where they are installed: Ceph's gateway (Debian), rclone's and LocalStack's (`make stores`).

Loopback only, a free port and a folder each, ended with the block.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.bench.ceph import ceph, missing_programs
from tests.bench.servers import await_port, free_port, running

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "stores-key", "stores-secret"
_CEPH_BYTES = 2 << 30
_READY_S = 180.0
# Where `make stores` puts what PyPI has; the variable names another place.
_ENVIRONMENT = Path(os.environ.get("RDBKEEPER_STORES") or Path(__file__).parents[2] / ".venv-stores")


@dataclass(frozen=True)
class Server:
    """An S3 server that answers at `endpoint`."""

    name: str
    endpoint: str
    version: str

    def client(self, secret_access_key: str = SECRET_ACCESS_KEY) -> Any:
        """A client with the server's keys, which sends what ours sends and does not repeat itself; made once."""
        return _client(self.endpoint, secret_access_key)


@cache
def _client(endpoint: str, secret_access_key: str) -> Any:
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1},
    )
    session = boto3.Session(ACCESS_KEY_ID, secret_access_key, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint, config=config)


@dataclass(frozen=True)
class Kind:
    """A server that may be startable here: `why_not` tells what is lacking, or ""."""

    why_not: Callable[[], str]
    start: Callable[[Path], AbstractContextManager[Server]]


def _environment(**more: str) -> dict[str, str]:
    """This process's environment without what is about AWS: a server must meet no credentials or proxy of anybody."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RDBKEEPER_"))}
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    return {**own, **keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", **more}


def _say(command: Sequence[str]) -> str:
    return subprocess.run(command, env=_environment(), capture_output=True, check=True, text=True, timeout=120).stdout


# ----------------------------------------------------------------------- Ceph


def _why_no_ceph() -> str:
    missing = missing_programs()
    return f"{', '.join(missing)} are not installed (Debian: radosgw ceph-mon ceph-osd ceph-common)" if missing else ""


@contextmanager
def _ceph(folder: Path) -> Iterator[Server]:
    with ceph(folder, _CEPH_BYTES, _environment(PYTHONPATH=_python_path())) as gateway:
        yield Server("ceph", gateway.endpoint, _say(["radosgw", "--version"]).split()[2])


def _python_path() -> str:
    root = Path(__file__).parents[2]
    return os.pathsep.join([str(root), str(root / "layers" / "rdbkeeper")])


# --------------------------------------------------------------------- rclone


def _rclone() -> str:
    return shutil.which("rclone", path=os.pathsep.join([str(_ENVIRONMENT / "bin"), os.environ.get("PATH", "")])) or ""


def _why_no_rclone() -> str:
    return "" if _rclone() else "rclone is not installed (make stores)"


@contextmanager
def _serve_rclone(folder: Path) -> Iterator[Server]:
    port, kept = free_port(), folder / "buckets"
    kept.mkdir()
    command = [_rclone(), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key"]
    command += [f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}", "--config", "", "--vfs-cache-mode", "off", str(kept)]
    with running(command, folder / "rclone.log", _environment()) as process:
        await_port(port, process)
        version = _say([_rclone(), "version"]).split()[1].removeprefix("v")
        yield Server("rclone", f"http://127.0.0.1:{port}", version)


# ----------------------------------------------------------------- LocalStack


def _why_no_localstack() -> str:
    found = list(_ENVIRONMENT.glob("lib/python3.*/site-packages/localstack/runtime"))
    return "" if found else "LocalStack is not installed (make stores, with a Python 3.13 at hand)"


@contextmanager
def _localstack(folder: Path) -> Iterator[Server]:
    port = free_port()
    environment = _environment(
        GATEWAY_LISTEN=f"127.0.0.1:{port}",
        # The other one listens on every address, whatever it is told.
        GATEWAY_SERVER="hypercorn",
        SERVICES="s3",
        STRICT_SERVICE_LOADING="1",
        DISABLE_EVENTS="1",
        SKIP_SSL_CERT_DOWNLOAD="1",
        FILESYSTEM_ROOT=str(folder),
        TMPDIR=str(folder),
    )
    command = [str(_ENVIRONMENT / "bin" / "python"), "-m", "localstack.runtime.main"]
    with running(command, folder / "localstack.log", environment) as process:
        health = _await_answer(f"http://127.0.0.1:{port}/_localstack/health", process)
        yield Server("localstack", f"http://127.0.0.1:{port}", str(json.loads(health)["version"]))


def _await_answer(url: str, process: subprocess.Popen[bytes]) -> bytes:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} does not answer at {url}")


KINDS: Mapping[str, Kind] = {
    "ceph": Kind(_why_no_ceph, _ceph),
    "rclone": Kind(_why_no_rclone, _serve_rclone),
    "localstack": Kind(_why_no_localstack, _localstack),
}
