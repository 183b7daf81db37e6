"""What must always hold, asked after every call, and what must have come true once faults have stopped.

Nothing here uses what is under test: sums and levels are worked out anew from the bytes that the backups really have.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from rdbkeeper.domain.vault import StoreSum
from rdbkeeper.rdb.checksum import crc64_nvme
from tests.fakes.journal import Line
from tests.faults.fault import Kind
from tests.faults.injector import SECRET
from tests.faults.oracles_at_rest import OraclesAtRest
from tests.faults.oracles_on_demand import OraclesOnDemand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.execution import Execution
    from tests.faults.process import Process
    from tests.faults.world import TrueBackup, World

_TAKING = (Kind.COPY_TAKEN, Kind.MANIFEST_TAKEN, Kind.COPY_DELETED, Kind.OLD_COPY_DELETED, Kind.DELETION_CUT_OFF)
_FLIPS = (Kind.FLIP_FIRST, Kind.FLIP_MIDWAY, Kind.FLIP_LAST)


class Violation(BaseException):
    """Something that must always hold does not; not an Exception, so nothing under test can handle it."""


class Oracles:
    """Looks at a world after each of its calls."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.at_rest = OraclesAtRest(world)
        self.on_demand = OraclesOnDemand(world)
        self._completed: set[str] = set()
        self._adopted: set[str] = set()  # those of which it was told, and that were not uploaded anew since
        self._removed: list[str] = []
        self.attempts: dict[str, str] = {}  # the names of exports, with the copies that they are for
        self._after = {
            "source.request_export": self._after_request,
            "vault.create_object": self._after_create,
            "vault.complete_upload": self._after_complete,
            "vault.remove_object": self._after_remove,
            "vault.lock_object": self._after_lock,
            "vault.abort_upload": self._after_abort,
            "runs.record_check": self._after_check,
            "runs.take_lease": self._after_lease,
            "runs.free_lease": self._after_freeing,
        }

    # ---------------------------------------------------------- at any moment

    def check(self, holds: bool, otherwise: str) -> None:
        """Raise Violation unless it holds."""
        if not holds:
            raise Violation(otherwise)

    def check_text(self, text: str) -> None:
        self.check(SECRET not in text, "a signed link stands in a text")

    def check_answer(self, answer: Any) -> None:
        self.check(isinstance(answer, dict), "a run had no answer")
        self.check_text(json.dumps(answer))

    def check_defect(self, error: Exception, where: str) -> None:
        """An error that nobody knows is only met where one was injected."""
        if not self.has_struck(Kind.DEFECT):
            raise Violation(f"a defect in `{where}`: {type(error).__name__}: {error}") from error

    def has_struck(self, *kinds: Kind) -> bool:
        return any(fault.kind in kinds for fault, _, _ in self._world.injector.struck)

    def check_line(self, line: Line, execution: Execution) -> None:
        """No secret in it; what it says of a backup is true; whatever did not go well has a code."""
        self.check_text(f"{line.message} {line.fields}")
        if line.level == "exception":
            self.check(self.has_struck(Kind.DEFECT), f"a defect: {line.message}")
        if line.event == "BackupOutcome":
            self._check_outcome(line, execution)
        elif line.event == "FragmentAdopted":
            self._adopted.add(line.fields["key"])
        elif "copy_id" in line.fields:
            self.at_rest.check_told(line.event, line.fields["copy_id"], execution)

    def _check_outcome(self, line: Line, execution: Execution) -> None:
        fields = line.fields
        self.check(bool(fields["reason"]), f"an outcome without a reason: {line.message}")
        if fields["status"] in ("copied", "present") and not self.has_struck(*_TAKING):
            copies = self.published_copies()
            self.check(
                fields["copy_id"] in copies, f"{fields['copy_id']} is called {fields['status']} and is not there"
            )
        if fields["status"] == "copied":
            keys = [key for key in self.at_rest.published if f"/{fields['copy_id']}." in key]
            told = f".{fields['verification']}.json"
            self.check(not keys or any(told in key for key in keys), f"{fields['copy_id']} is called by another level")

    def after(self, process: Process, label: str, given: tuple[Any, ...], answer: Any) -> None:
        """Look at what a call has done."""
        self.at_rest.after_call(process, label, given, answer)
        self.on_demand.after_call(process, label, given, answer)
        look = self._after.get(label)
        if look is not None:
            look(process, given, answer)

    def _after_request(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        backup, attempt = given
        self.attempts[attempt] = backup.copy_id

    def _after_create(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        key, body = given[0], given[1]
        self._check_in_charge(process, key)
        if "/manifests/" not in key:
            self.at_rest.after_create(process, key, body)
            return
        self._check_manifest(process, key, json.loads(body))
        self._check_nothing_changed()

    def _after_complete(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        key = given[0].key
        self._completed.add(key)
        self._adopted.discard(key)
        self.at_rest.forget_reading(key)
        self._check_in_charge(process, key)
        is_published = any(key in data for data in self.at_rest.published.values()) and key not in self.at_rest.spoiled
        self.check(not is_published, f"{key} was written again under its manifest")
        self._check_nothing_changed()

    def _after_remove(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        key, etag = given[0], given[1]
        self._check_in_charge(process, key)
        had_effect = self.at_rest.after_remove(process, key, etag)
        if had_effect and key.endswith(".rdb") and not self.at_rest.is_of_a_copy(key):
            self._removed.append(key)
        self._check_nothing_changed()

    def _after_lock(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        self._check_in_charge(process, given[0])
        self.at_rest.after_lock(given[0])

    def _after_abort(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        self.at_rest.after_abort(process, given[0].upload_id)

    def _after_check(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        self.at_rest.check_recorded(process, given[1])

    def told_of_reading(self, process: Process, given: tuple[Any, ...]) -> Callable[[int, memoryview], None] | None:
        return self.at_rest.told_of_reading(process, given)

    def _check_in_charge(self, process: Process, key: str) -> None:
        """Only the one living run that holds the rule's lease writes or removes what cannot be undone."""
        rule = process.execution.rule
        owner = self._world.tables.leases.get(rule)
        is_gone = self._world.find_rule(rule) is None
        self.check(owner == process.execution.arn or is_gone, f"{key} was changed by a run without the lease")

    def _after_lease(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        if not answer:
            return
        for other in self._world.executions.all.values():
            if other.rule == given[0] and other is not process.execution and other.process is not None:
                alive = other.process.is_alive and other.holds_lease
                self.check(not alive, "a lease was taken while its owner may still be at work")
        process.execution.holds_lease = True

    def _after_freeing(self, process: Process, given: tuple[Any, ...], answer: Any) -> None:
        process.execution.holds_lease = False

    # ------------------------------------------------------------- manifests

    def published_copies(self) -> set[str]:
        """The ids of all copies whose manifests are there."""
        return self.at_rest.published_ids()

    def adopt(self, key: str, data: dict[str, bytes]) -> None:
        """Take a manifest for published that a scenario begins with."""
        self.at_rest.published[key] = data

    def forget_newest_copy(self) -> None:
        """A person removes a whole copy by hand, its manifest first."""
        published = self.at_rest.published
        if published:
            key = max(published)
            objects = self._world.the_vault.objects
            for gone in (key, *published[key]):
                objects.pop(gone, None)
            self.at_rest.note_people()

    def _check_manifest(self, process: Process, key: str, manifest: dict[str, Any]) -> None:
        copy_id = manifest["copy_id"]
        true = self.on_demand.find_read(process, manifest) or self._world.truth.get(copy_id)
        if true is None:
            raise Violation(f"{key} describes no backup")
        self.check(true.is_whole, f"{key} publishes a damaged backup")
        place = key.partition("manifests/")[0]
        twins = [other for other in self.at_rest.published if other.startswith(f"{place}manifests/{copy_id}.")]
        self.check(not twins, f"{copy_id} was published twice")
        self.check([file["name"] for file in manifest["files"]] == list(true.files), f"{key} has other files")
        is_verified = all(not file["unchecked_reason"] for file in manifest["files"])
        can_be_verified = true.has_crc and all(self._is_proven(file["key"]) for file in manifest["files"])
        self.check(is_verified == can_be_verified, f"{key}: verified must mean that each CRC was there and right")
        level = "verified" if can_be_verified else "unchecked"
        self.check(key.endswith(f"/manifests/{copy_id}.{level}.json"), f"{key} is called by another level")
        self.check(manifest["level"] == level, f"{key} says another level")
        self._check_adoptions(manifest)
        self.on_demand.check_consistency(process, key, manifest)
        for file in manifest["files"]:
            self._check_file(f"{place}{copy_id}/{file['name']}.rdb", file, true)
        objects = self._world.the_vault.objects
        data = {file["key"]: objects.get(file["key"], true.files[file["name"]]) for file in manifest["files"]}
        self.at_rest.published[key] = data
        self.at_rest.spoiled |= data.keys() - objects.keys()  # somebody took them away just before

    def _check_file(self, key: str, file: dict[str, Any], true: TrueBackup) -> None:
        self.check(file["key"] == key, f"{key} is described under another key")
        stored = self._world.the_vault.objects.get(key)
        wanted = true.files[file["name"]]
        if not has_crc(wanted) and self.has_struck(*_FLIPS) and stored is not None:
            wanted = stored  # nothing can tell that a bit of an unchecked file was turned on its way
        is_taken = stored is None and self.has_struck(Kind.DATA_TAKEN, Kind.COPY_TAKEN)
        self.check(is_taken or stored == wanted, f"{key} was published and is not what the backup is")
        self.check(file["size_bytes"] == len(wanted), f"{key}: its length is told wrongly")
        self.check(file["crc64nvme"] == f"{crc64_nvme(wanted):016x}", f"{key}: its sum is told wrongly")
        stored_crc = wanted[-8:][::-1].hex()
        self.check(file["crc64"] == stored_crc, f"{key}: its CRC64 is told wrongly")
        size = file["part_size_bytes"]
        parts = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        sums = [hashlib.sha256(part).hexdigest() for part in parts]
        self.check(file["part_sha256"] == sums, f"{key}: the sums of its parts are told wrongly")
        self.check(("crc64" in file["checks"]) == has_crc(wanted), f"{key}: its checks are told wrongly")
        is_checked = has_crc(wanted) and self._is_proven(key)
        self.check(bool(file["unchecked_reason"]) != is_checked, f"{key}: why it is unchecked is told wrongly")

    def _is_proven(self, key: str) -> bool:
        """Whether it is known what the store holds: by a sum of its own, or because it was read back."""
        vault = self._world.the_vault
        if vault.capabilities.sum is not StoreSum.NONE or key in self._adopted:
            return True
        return self.at_rest.was_read_by_one(key, len(vault.objects.get(key, b"")))

    def _check_adoptions(self, manifest: dict[str, Any]) -> None:
        """What was in the vault already is only published with a line that says so."""
        for file in manifest["files"]:
            key = file["key"]
            self.check(key in self._completed or key in self._adopted, f"{key} was adopted without a word")

    def check_removals(self) -> None:
        """Each fragment that was removed has its line; a process that died just then could not write it."""
        told = [line.fields["key"] for line in self._world.lines if line.event == "FragmentRemoved"]
        if not self._world.injector.struck and not self._world.counts["process died"]:
            self.check(sorted(told) == sorted(self._removed), "a fragment was removed without a word")

    def _check_nothing_changed(self) -> None:
        objects = self._world.the_vault.objects
        for manifest, data in self.at_rest.published.items():
            self.check(manifest in objects, f"{manifest} has gone")
            for key, body in data.items():
                is_same = objects.get(key) is body or key in self.at_rest.spoiled
                self.check(is_same, f"{key} was changed or removed under its manifest")


def has_crc(file: bytes) -> bool:
    """True when a file's trailer holds a sum, and not eight zeros in its place."""
    return file[-8:] != bytes(8)
