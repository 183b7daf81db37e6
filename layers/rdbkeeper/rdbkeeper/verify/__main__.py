"""Check copies against their manifests: `python -m rdbkeeper.verify PATH-OR-S3-URI`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from rdbkeeper.domain.audit import find_manifest_fault
from rdbkeeper.domain.catalog import Level
from rdbkeeper.domain.copy import CopiedFile, Manifest
from rdbkeeper.domain.errors import (
    ManifestUnreadable,
    RdbkeeperError,
    StoreMismatch,
    StreamCutShort,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
    unexpected,
)
from rdbkeeper.domain.outcome import human_size
from rdbkeeper.flows.copies.check import CopyCheck, Position
from rdbkeeper.flows.runs.pace import Pace
from rdbkeeper.verify.places import Found, S3Access, find_copies, place_of

WHOLE, DAMAGED, NOT_CHECKED = 0, 1, 2
LANES = 4
PROGRESS_EVERY_S = 0.5
_HINTS: dict[type[RdbkeeperError], str] = {
    VaultDenied: "Look at your credentials: they need s3:ListBucket on the bucket and s3:GetObject on its objects.",
    VaultRefused: "Look at the bucket's name, --endpoint-url and --region.",
    VaultUnavailable: "Look at the network and --endpoint-url, or at the disk and its permissions; then check again.",
    StreamCutShort: "Check it again; if this repeats, the store does not send what it says it has.",
    StoreMismatch: "It was changed while it was read. Check it again once nothing writes.",
}

EXAMPLES = """\
examples:
  python -m rdbkeeper.verify ./orders/                        every copy in a folder that was copied from a bucket
  python -m rdbkeeper.verify ./orders/20261122T021500Z-automatic.orders/
  python -m rdbkeeper.verify s3://BUCKET/redis/orders/        every copy of an instance
  python -m rdbkeeper.verify s3://BUCKET/redis/orders/manifests/20261122T021500Z-automatic.orders.verified.json

exit code: 0 everything is whole, 1 something is damaged, 2 something could not be checked
"""


class _Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def main(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Check what the arguments name, one line for each file and copy; returns the exit code."""
    given = _parse(arguments)
    access = S3Access(given.endpoint_url, given.profile, given.region)
    try:
        found = find_copies(given.target, access)
        return Verification(found, out, err).run()
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - whoever checks a backup at night is told a sentence, not a stack trace
        print(f"Not checked: {_sentence(f'Checking {given.target}', error)}", file=err)
    return NOT_CHECKED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rdbkeeper.verify",
        description="Check that copies are, byte for byte, what their manifests say.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", metavar="PATH-OR-S3-URI", help="a manifest, a copy's folder, or a place with many")
    parser.add_argument("--endpoint-url", default="", metavar="URL", help="of a store other than Amazon S3")
    parser.add_argument("--profile", default="", help="the AWS profile to use")
    parser.add_argument("--region", default="", help="the bucket's region")
    return parser.parse_args(arguments)


class Verification:
    """Checks copies one after the other and tells what it finds."""

    def __init__(self, found: Found, out: TextIO, err: TextIO) -> None:
        self._found = found
        self._out = out
        self._err = err
        self._counts = {WHOLE: 0, DAMAGED: 0, NOT_CHECKED: 0}
        self._size_bytes = 0

    def run(self) -> int:
        """Check every copy; one that cannot be checked does not stop the others. Returns the exit code."""
        for key in self._found.manifests:
            try:
                end = self._check(key)
            except BrokenPipeError:
                raise
            except Exception as error:  # noqa: BLE001 - one copy that brings a defect out must not hide the others
                self._clear_progress()
                self._say(f"{_name(key)}: NOT CHECKED: {_sentence(f'Checking {_name(key)}', error)}")
                end = NOT_CHECKED
            self._counts[end] += 1
        self._summarise()
        return next(end for end in (DAMAGED, NOT_CHECKED, WHOLE) if self._counts[end] or end == WHOLE)

    def _check(self, key: str) -> int:
        manifest = self._read_manifest(key)
        if isinstance(manifest, str):
            self._say(f"{_name(key)}: DAMAGED: {manifest}")
            return DAMAGED
        clock = _Clock()
        check = CopyCheck(manifest, place_of(key), self._found.store, clock, Pace(None, clock), LANES)
        position, found, told_at = Position(), 0, clock.monotonic()
        while not check.is_done(position):
            file, files_done = manifest.files[position.file], position.file
            try:
                position = check.advance(position)
            except RdbkeeperError as error:
                if not position.findings:
                    raise
                return self._tell_damage_so_far(manifest, file, position, error)
            if position.file > files_done:
                self._clear_progress()
                if _count(position) > found:
                    self._tell_damage(file, position)
                else:
                    self._tell_whole(file)
                found = _count(position)
            elif clock.monotonic() - told_at >= PROGRESS_EVERY_S:
                told_at = clock.monotonic()
                self._show_progress(manifest, file, position.sums.size_bytes)
        self._size_bytes += manifest.size_bytes
        return self._tell_copy(manifest, position)

    def _read_manifest(self, key: str) -> Manifest | str:
        """The manifest, or a sentence about what is wrong with it."""
        try:
            manifest = Manifest.from_json(self._found.store.read_object(key), key)
        except ManifestUnreadable as error:
            return error.message
        fault = find_manifest_fault(manifest, _name(key))
        return manifest if fault is None else fault.detail

    def _tell_whole(self, file: CopiedFile) -> None:
        unchecked = f", unchecked: {file.unchecked_reason}" if file.unchecked_reason else ""
        self._say(f"  {file.name}.rdb: whole, {human_size(file.size_bytes)}, {file.rdb_version}{unchecked}")

    def _tell_damage(self, file: CopiedFile, position: Position) -> None:
        shown = [finding for finding in position.findings if finding.file == file.name]
        for finding in shown:
            self._say(f"  DAMAGED {finding.fault.value}: {finding.detail}")
        if not shown:
            self._say(f"  DAMAGED {file.name}.rdb: where is not shown, after so many others.")

    def _tell_copy(self, manifest: Manifest, position: Position) -> int:
        taken = f"{manifest.instance}, backup {manifest.backup_id} of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        if position.findings:
            count = _count(position)
            more = f", {position.more_findings} of them not shown" if position.more_findings else ""
            self._say(f"{manifest.copy_id}: DAMAGED: {count} found{more} ({taken})")
            return DAMAGED
        self._say(f"{manifest.copy_id}: whole, {manifest.level.value} ({taken})")
        return WHOLE

    def _tell_damage_so_far(
        self, manifest: Manifest, file: CopiedFile, position: Position, error: RdbkeeperError
    ) -> int:
        """What was found before the check broke off is damage, whatever the rest would be."""
        self._clear_progress()
        if position.has_findings:  # those of files before were told with them
            self._tell_damage(file, position)
        self._say(f"  NOT CHECKED {file.name}.rdb: {_sentence('', error)}")
        return self._tell_copy(manifest, position)

    def _summarise(self) -> None:
        words = {WHOLE: "whole", DAMAGED: "damaged", NOT_CHECKED: "not checked"}
        said = ", ".join(f"{count} {words[end]}" for end, count in self._counts.items() if count or end == WHOLE)
        total = sum(self._counts.values())
        self._say(f"{total} {'copy' if total == 1 else 'copies'}, {human_size(self._size_bytes)}: {said}")

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _show_progress(self, manifest: Manifest, file: CopiedFile, read_bytes: int) -> None:
        if self._err.isatty():
            done = f"{human_size(read_bytes)} of {human_size(file.size_bytes)}"
            print(f"\r\x1b[K{manifest.copy_id}/{file.name}.rdb: {done}", end="", file=self._err, flush=True)

    def _clear_progress(self) -> None:
        if self._err.isatty():
            print("\r\x1b[K", end="", file=self._err, flush=True)


def _count(position: Position) -> int:
    return len(position.findings) + position.more_findings


def _sentence(what: str, error: Exception) -> str:
    """What went wrong, and what to do for whoever checks copies by hand: most hints are meant for runs."""
    if not isinstance(error, RdbkeeperError):
        return unexpected(what, error).message
    hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind) and error.hint), error.hint)
    return f"{error.message} Hint: {hint}" if hint else error.message


def _name(manifest_key: str) -> str:
    """The copy's id, as its manifest's name tells it."""
    name = manifest_key.rpartition("/")[2]
    for level in Level:
        name = name.removesuffix(f".{level.value}.json")
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
