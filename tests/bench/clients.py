"""The clients that are measured side by side, and what each needs on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import Command
from tests.bench.servers import FileSource

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-bench" / "bin"
KEY = "bench/orders.rdb"
REGION = "us-east-1"
BASE = "aws s3 cp -"
OURS = "rdbkeeper"
RAW_PUT = "raw put, no S3"
# Of the two environments, which Python runs what: ours has the package and boto3, the tools' has the others.
_OURS, _TOOLS = sys.executable, str(TOOLS / "python")
_BENCH = str(Path(__file__).parent)


@dataclass(frozen=True)
class Place:
    """Where clients are to put the file; `keeps_sums` is False for a store without CRC64NVME of whole objects."""

    name: str
    endpoint: str
    bucket: str
    rclone_provider: str
    keeps_sums: bool


@dataclass(frozen=True)
class Client:
    """One line of the table: a client's name, its command, and the programs that it needs."""

    name: str
    command: Callable[[FileSource, Place], Command]
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What it needs and is not there."""
        return [program for program in self.needs if shutil.which(program) is None]


def environment() -> Mapping[str, str]:
    """What every client gets: the bench's own credentials, and nothing of the user's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))}
    layer = os.pathsep.join(str(ROOT / folder) for folder in ("layers/rdbkeeper", "functions", "."))
    return {
        **inherited,
        "PYTHONPATH": layer,
        "PATH": f"{inherited.get('PATH', '')}:/usr/sbin",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def our_copy(source: FileSource, place: Place, *options: str) -> Command:
    """Our copy, whole: from opening the upload to publishing the manifest."""
    sums = () if place.keeps_sums else ("--store-keeps-no-sums",)
    arguments = [source.endpoint, place.endpoint, place.bucket, *sums, *options]
    return Command([_OURS, "-m", "tests.bench.our_copy", *arguments])


def _script(python: str, name: str, *options: str) -> Callable[[FileSource, Place], Command]:
    def command(source: FileSource, place: Place) -> Command:
        return Command([python, f"{_BENCH}/{name}.py", source.url, place.endpoint, place.bucket, KEY, *options])

    return command


def _aws(source: FileSource, place: Place) -> Command:
    size = ["--expected-size", str(source.size_bytes)]
    target = ["--endpoint-url", place.endpoint]
    return Command(
        [_TOOLS, "-m", "awscli", "s3", "cp", "-", f"s3://{place.bucket}/{KEY}", *size, *target], feed=_curl(source)
    )


def _s5cmd(source: FileSource, place: Place) -> Command:
    target = ["--endpoint-url", place.endpoint]
    return Command([str(TOOLS / "s5cmd"), *target, "pipe", f"s3://{place.bucket}/{KEY}"], feed=_curl(source))


def _rclone(source: FileSource, place: Place) -> Command:
    options = ["--config", os.devnull, "--s3-env-auth", "--s3-no-check-bucket", "--s3-region", REGION]
    target = ["--s3-provider", place.rclone_provider, "--s3-endpoint", place.endpoint]
    return Command([str(TOOLS / "rclone"), *options, *target, "copyurl", source.url, f":s3:{place.bucket}/{KEY}"])


def _curl(source: FileSource) -> list[str]:
    return ["curl", "--silent", "--show-error", "--fail", source.url]


CLIENTS = (
    Client(OURS, our_copy),
    Client(BASE, _aws, ("curl", str(TOOLS / "aws"))),
    Client("boto3 upload_fileobj", _script(_OURS, "upload_fileobj")),
    Client("s5cmd pipe", _s5cmd, ("curl", str(TOOLS / "s5cmd"))),
    Client("rclone copyurl", _rclone, (str(TOOLS / "rclone"),)),
    Client("obstore writer", _script(_TOOLS, "obstore_writer"), (_TOOLS,)),
    Client("obstore writer, unsigned, with SHA-256 and CRC64", _script(_TOOLS, "obstore_writer", "--sums"), (_TOOLS,)),
    Client(RAW_PUT, _script(_OURS, "raw_put")),
)
