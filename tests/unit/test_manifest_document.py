"""docs/manifest.md describes the manifests that are written, and its recipes find what is damaged."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rdbkeeper.domain.copy import MANIFEST_FORMAT
from rdbkeeper.rdb.checksum import crc64_redis
from tests.fakes.rdb_files import flip_bit
from tests.unit.copies_on_disk import COPY_ID, PART_BYTES, a_manifest, put_copy

PAGE = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text(encoding="utf-8")
TOOLS = {
    "parts": ("jq", "dd", "sha256sum"),
    "lengths": ("jq", "wc"),
    "python": ("python3",),
    "rdb": ("jq", "redis-check-rdb"),
    "s3": ("jq", "base64", "od", "tr"),
}


def real_file(keys: int, key: bytes = b"k") -> bytes:
    """A file that a server would load: strings, in the plainest of encodings."""
    strings = b"".join(b"\x00" + bytes([6]) + b"%s%05d" % (key, number) + bytes([1]) + b"v" for number in range(keys))
    body = b"REDIS0009\xfe\x00" + strings + b"\xff"
    return body + crc64_redis(body).to_bytes(8, "little")


FILES = {"0001": real_file(1000), "0002": real_file(10, b"q")}


@pytest.fixture
def manifest_path(tmp_path: Path) -> Path:
    return put_copy(tmp_path, FILES, a_manifest(FILES))


def recipe(name: str, manifest: Path, **environment: str) -> str:
    """Run a recipe of the page in the folder of the place, as a person would; returns what it says."""
    for tool in TOOLS[name]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    (script,) = re.findall(rf"```sh\n# recipe: {name}\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=manifest.parents[1],
        env={**os.environ, "MANIFEST": f"manifests/{manifest.name}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    return done.stdout


def damage(manifest: Path, at: int) -> None:
    path = manifest.parents[1] / COPY_ID / "0001.rdb"
    path.write_bytes(flip_bit(path.read_bytes(), at))


@pytest.mark.parametrize("name", ["parts", "lengths", "python", "rdb"])
def test_a_recipe_says_nothing_of_a_whole_copy(manifest_path: Path, name: str) -> None:
    assert recipe(name, manifest_path) == ""


@pytest.mark.parametrize("name", ["parts", "python"])
@pytest.mark.parametrize("at", [0, PART_BYTES - 1, PART_BYTES, len(FILES["0001"]) - 1])
def test_a_recipe_names_the_part_that_is_damaged(manifest_path: Path, name: str, at: int) -> None:
    damage(manifest_path, at)
    assert recipe(name, manifest_path) == f"{COPY_ID}/0001.rdb: part {at // PART_BYTES + 1} is damaged\n"


@pytest.mark.parametrize("name", ["lengths", "python"])
def test_a_recipe_finds_what_follows_a_files_end(manifest_path: Path, name: str) -> None:
    with (manifest_path.parents[1] / COPY_ID / "0002.rdb").open("ab") as file:
        file.write(b"!")
    assert recipe(name, manifest_path).startswith(f"{COPY_ID}/0002.rdb: ")


def test_the_servers_own_tool_finds_damage(manifest_path: Path) -> None:
    damage(manifest_path, 3000)
    assert recipe("rdb", manifest_path) == f"{COPY_ID}/0001.rdb: it is no whole RDB file\n"


AWS = """#!/bin/sh
case "$*" in
  "s3api head-object --bucket a-bucket --key redis/orders/{copy}/0001.rdb --checksum-mode ENABLED"*) echo {first} ;;
  "s3api head-object --bucket a-bucket --key redis/orders/{copy}/0002.rdb --checksum-mode ENABLED"*) echo {second} ;;
  *) exit 9 ;;
esac
"""


def test_what_s3_keeps_is_compared(manifest_path: Path, tmp_path: Path) -> None:
    kept = [
        base64.b64encode(bytes.fromhex(file["crc64nvme"])).decode()
        for file in json.loads(manifest_path.read_bytes())["files"]
    ]
    tools = tmp_path / "tools"
    tools.mkdir()
    aws = tools / "aws"
    where = {"PATH": f"{tools}:{os.environ['PATH']}", "BUCKET": "a-bucket", "PLACE": "redis/orders/"}
    aws.write_text(AWS.format(copy=COPY_ID, first=kept[0], second=kept[1]))
    aws.chmod(0o755)
    assert recipe("s3", manifest_path, **where) == ""
    aws.write_text(AWS.format(copy=COPY_ID, first=kept[0], second=kept[0]))
    assert recipe("s3", manifest_path, **where).startswith(f"{COPY_ID}/0002.rdb: S3 holds ")


def test_every_field_of_a_manifest_is_described_and_no_other() -> None:
    document = json.loads(a_manifest(FILES).to_json())
    written = {f"source.{name}" for name in document["source"]} | document.keys() - {"source"}
    written |= document["files"][0].keys()
    described = set(
        re.findall(r"^\| `([a-z0-9_.]+)` \| (?:string|number|boolean|array|object) \|", PAGE, flags=re.MULTILINE)
    )
    assert described == written
    assert MANIFEST_FORMAT in PAGE
    engine = next(line for line in PAGE.splitlines() if line.startswith("| `engine` |"))
    assert all(f"`{name}`" in engine for name in document["engine"])
