"""`python -m rdbkeeper.verify`: a copy is checked with this package alone, and what is damaged is named."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rdbkeeper.domain.copy import Manifest
from rdbkeeper.domain.errors import StreamCutShort
from rdbkeeper.verify.__main__ import main
from tests.fakes.rdb_files import flip_bit, rdb_file
from tests.unit.copies_on_disk import COPY_ID, PART_BYTES, a_manifest, put_copy

LAYER = Path(__file__).parents[2] / "layers" / "rdbkeeper"
OTHER_ID = "20261121T021500Z-manual.b"
FILES = {"0001": rdb_file(3 * PART_BYTES + 10), "0002": rdb_file(500, seed=2)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder as `aws s3 cp --recursive` brings a place, with one whole copy of two files."""
    place = tmp_path / "orders"
    put_copy(place, FILES, a_manifest(FILES))
    return place


def verify(*arguments: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    code = main([str(argument) for argument in arguments], out, err)
    return code, out.getvalue() + err.getvalue()


def change(path: Path, body: bytes) -> None:
    path.write_bytes(body)


def test_a_whole_copy_is_told_file_by_file(place: Path) -> None:
    code, said = verify(place)
    assert code == 0
    assert said.splitlines() == [
        "  0001.rdb: whole, 12 kB, REDIS0011",
        "  0002.rdb: whole, 500 B, REDIS0011",
        f"{COPY_ID}: whole, verified (orders, backup automatic.orders of 2026-11-20 02:15:00 UTC)",
        "1 copy, 13 kB: 1 whole",
    ]


@pytest.mark.parametrize(
    "target",
    [".", "manifests", f"manifests/{COPY_ID}.verified.json", COPY_ID, f"{COPY_ID}/", ".."],
)
def test_a_copy_is_found_by_its_place_its_folder_or_its_manifest(
    place: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    code, said = verify(target)
    assert (code, said.splitlines()[-1]) == (0, "1 copy, 13 kB: 1 whole")


@pytest.mark.parametrize(
    ("at", "part", "first", "last"),
    [(0, 1, "0", "4,095"), (4095, 1, "0", "4,095"), (4096, 2, "4,096", "8,191"), (12_297, 4, "12,288", "12,297")],
)
def test_a_damaged_part_is_named_with_its_bytes(place: Path, at: int, part: int, first: str, last: str) -> None:
    change(place / COPY_ID / "0001.rdb", flip_bit(FILES["0001"], at))
    code, said = verify(place)
    assert code == 1
    assert f"  DAMAGED damaged part: 0001.rdb: part {part} of 4, bytes {first} to {last}, is not what" in said
    assert "  0002.rdb: whole" in said
    assert f"{COPY_ID}: DAMAGED: 1 found" in said
    assert said.endswith("0 whole, 1 damaged\n")


def test_a_missing_file_is_named(place: Path) -> None:
    (place / COPY_ID / "0002.rdb").unlink()
    code, said = verify(place)
    assert (code, "  DAMAGED missing file: 0002.rdb is missing." in said) == (1, True)


@pytest.mark.parametrize("body", [FILES["0001"][:-1], FILES["0001"] + b"\n", b""])
def test_a_file_of_another_length_is_named(place: Path, body: bytes) -> None:
    change(place / COPY_ID / "0001.rdb", body)
    code, said = verify(place)
    assert (code, f"0001.rdb has {len(body):,} bytes in place of 12,298." in said) == (1, True)


def rewritten(place: Path, **changes: object) -> None:
    (path,) = (place / "manifests").iterdir()
    document = json.loads(path.read_bytes())
    document["files"][1] |= changes
    path.write_text(json.dumps(document))


def test_a_manifest_whose_sums_disagree_with_each_other_is_damage(place: Path) -> None:
    rewritten(place, crc64nvme="0" * 16)
    code, said = verify(place)
    assert (code, "0002.rdb: its CRC64NVME is not that of the manifest." in said) == (1, True)


@pytest.mark.parametrize("changes", [{"rdb_version": "REDIS0010"}, {"crc64": "0" * 16}])
def test_what_a_manifest_says_of_the_files_first_and_last_bytes_is_compared(
    place: Path, changes: dict[str, str]
) -> None:
    rewritten(place, **changes)
    code, said = verify(place)
    assert (code, "0002.rdb: its format version or its CRC64 is not that of the manifest." in said) == (1, True)


def test_what_is_no_rdb_file_is_told_although_its_sums_agree(tmp_path: Path) -> None:
    files = {"0001": b"<html>the page of an error</html>"}
    put_copy(tmp_path, files, a_manifest(files))
    code, said = verify(tmp_path)
    assert (code, "not as an RDB file does" in said) == (1, True)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"\xff\xfe", b'{"format": "rdbkeeper-manifest/9"}', b"[" * 200_000]
)
def test_a_manifest_that_cannot_be_read_is_damage(place: Path, body: bytes) -> None:
    (path,) = (place / "manifests").iterdir()
    change(path, body)
    code, said = verify(place)
    assert (code, f"{COPY_ID}: DAMAGED: Reading the manifest" in said) == (1, True)


def test_a_manifest_that_points_elsewhere_reads_nothing_there(place: Path) -> None:
    rewritten(place, name="../../../etc/passwd")
    code, said = verify(place)
    assert (code, "says of the file '../../../etc/passwd' what cannot be" in said) == (1, True)


def test_one_damaged_copy_hides_no_other(place: Path) -> None:
    put_copy(place, FILES, a_manifest(FILES, copy_id=OTHER_ID))
    change(place / COPY_ID / "0002.rdb", flip_bit(FILES["0002"], 99))
    code, said = verify(place)
    assert code == 1
    assert said.splitlines()[-1] == "2 copies, 26 kB: 1 whole, 1 damaged"


def test_an_unchecked_copy_says_why(tmp_path: Path) -> None:
    files = {"0001": rdb_file(100, checksum=False)}
    put_copy(tmp_path, files, a_manifest(files, unchecked_reason="no CRC: zeros stand in its place"))
    code, said = verify(tmp_path)
    assert code == 0
    assert "whole, 100 B, REDIS0011, unchecked: no CRC" in said
    assert f"{COPY_ID}: whole, unchecked" in said


def test_twenty_findings_of_a_copy_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    files = {"0001": rdb_file(30 * PART_BYTES)}
    manifest = a_manifest(files)
    put_copy(tmp_path, {"0001": bytes(30 * PART_BYTES)}, manifest)
    code, said = verify(tmp_path)
    assert (code, said.count("DAMAGED damaged part")) == (1, 20)
    assert "DAMAGED: 30 found, 10 of them not shown" in said


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere", "There is no 'nowhere'."),
        ("ftp://host/x", "ftp:// cannot be checked."),
        ("s3://", "names no bucket"),
        ("s3://bad bucket/", "'bad bucket' is not a bucket's name."),
        ("s3://-/", "'-' is not a bucket's name."),
        ("", "There is no ''."),
        ("x" * 5000, "There is no 'xxx"),
        ("\0", "There is no"),
        ("orders/empty", "There is no manifest of a copy at"),
        ("orders/holds/x.json", "does not lie where a manifest does"),
    ],
)
def test_wrong_input_gets_a_sentence(place: Path, target: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.parent)
    (place / "empty").mkdir()
    (place / "holds").mkdir()
    (place / "holds" / "x.json").write_text("{}")
    code, said = verify(target)
    assert (code, says in said) == (2, True), said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_must_not_be_read_is_not_called_damaged(place: Path) -> None:
    (place / COPY_ID / "0001.rdb").chmod(0)
    code, said = verify(place)
    assert (code, "NOT CHECKED" in said) == (2, True)


def test_a_file_that_cannot_be_read_is_not_called_damaged(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Path, *_: object, **__: object) -> object:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", broken)
    code, said = verify(place)
    assert code == 2
    assert f"{COPY_ID}: NOT CHECKED: Reading" in said and "Input/output error" in said


def test_a_defect_is_told_in_a_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manifest, "from_json", lambda *_: 1 / 0)
    code, said = verify(place)
    assert (code, "ZeroDivisionError" in said, "Traceback" in said) == (2, True, False)
    assert f"{COPY_ID}: NOT CHECKED: " in said


def test_one_odd_manifest_hides_no_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_copy(place, FILES, a_manifest(FILES, copy_id=OTHER_ID))
    read = Manifest.from_json
    monkeypatch.setattr(Manifest, "from_json", lambda body, key: 1 / 0 if COPY_ID in key else read(body, key))
    code, said = verify(place)
    assert (code, said.splitlines()[-1]) == (2, "2 copies, 13 kB: 1 whole, 1 not checked")


def test_what_has_a_manifest_s_name_and_cannot_be_read_is_not_passed_over(place: Path) -> None:
    folder = place / "manifests"
    (folder / f"{OTHER_ID}.verified.json").mkdir()
    (folder / f"{OTHER_ID}.unchecked.json").symlink_to("/nowhere/at/all")
    os.mkfifo(folder / "20261121T021500Z-manual.c.verified.json")
    code, said = verify(place)
    assert (code, said.splitlines()[-1]) == (2, "4 copies, 13 kB: 1 whole, 3 not checked")


def test_damage_that_was_found_outweighs_what_could_not_be_checked_afterwards(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(place / COPY_ID / "0001.rdb", flip_bit(FILES["0001"], 0))
    opened = Path.open

    def broken(self: Path, *arguments: Any, **more: Any) -> Any:
        if self.name == "0002.rdb":
            raise OSError(5, "Input/output error")
        return opened(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", broken)
    code, said = verify(place)
    assert (code, "NOT CHECKED 0002.rdb: Reading" in said) == (1, True), said
    assert f"{COPY_ID}: DAMAGED: 1 found" in said
    assert "whole, 500 B" not in said


def test_a_damaged_file_behind_many_findings_is_not_called_whole(tmp_path: Path) -> None:
    files = {"0001": rdb_file(30 * PART_BYTES), "0002": rdb_file(500)}
    manifest = a_manifest(files)
    put_copy(tmp_path, {"0001": bytes(30 * PART_BYTES), "0002": flip_bit(files["0002"], 40)}, manifest)
    code, said = verify(tmp_path)
    assert (code, "0002.rdb: whole" in said, "DAMAGED 0002.rdb" in said) == (1, False, True)


def test_hints_are_for_whoever_checks_by_hand(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: object) -> int:
        raise StreamCutShort("Cut.", hint="The next audit reads the copy again.")

    monkeypatch.setattr("rdbkeeper.vaults.folder.FileStream.readinto", cut)
    code, said = verify(place)
    assert (code, "next audit" in said, "Check it again" in said) == (2, False, True)


def test_progress_is_shown_to_a_terminal_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("rdbkeeper.verify.__main__.PROGRESS_EVERY_S", 0)
    monkeypatch.setattr("rdbkeeper.verify.__main__.LANES", 1)
    out, err = io.StringIO(), Terminal()
    assert main([str(place)], out, err) == 0
    assert f"{COPY_ID}/0001.rdb: 4.1 kB of 12 kB" in err.getvalue()
    assert "\x1b" not in out.getvalue()


WITHOUT_THE_REST = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"boto3", "botocore", "aws_lambda_powertools", "croniter", "redis", "socket"}:
            raise ImportError(f"{name} is not to be used")

sys.meta_path.insert(0, Missing())
from rdbkeeper.verify.__main__ import main
sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
"""


def test_a_local_check_needs_neither_boto3_nor_a_network(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_REST, str(place)],
        env={"PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.endswith("1 copy, 13 kB: 1 whole\n")


def test_a_bucket_without_boto3_gets_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_REST, "s3://bucket/redis/orders/"],
        env={"PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "needs boto3" in done.stderr and "Traceback" not in done.stderr


def test_it_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rdbkeeper.verify"], env={"PYTHONPATH": str(LAYER)}, capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"PATH-OR-S3-URI" in done.stderr
