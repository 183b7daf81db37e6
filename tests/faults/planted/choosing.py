"""Bugs in choosing what to copy, in exporting it, in going on after a failure, and in telling of it."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_SELECTION = "domain/selection.py"
_SCAN = "flows/runs/scan.py"
_EXPORT = "flows/runs/export.py"
_RUN = "flows/runs/run.py"
_DEFECT = (Kind.DEFECT,)

CHOOSING = (
    PlantedBug(
        "the catalog is not asked",
        Promise.ONCE,
        Change(_SCAN, "select(backups, catalog, ", "select(backups, type(catalog)(), "),
    ),
    PlantedBug(
        "the catalog knows verified copies alone",
        Promise.ONCE,
        Change("domain/catalog.py", "for level in Level:", "for level in (Level.VERIFIED,):"),
    ),
    PlantedBug(
        "a backup is known by its id alone",
        Promise.CONVERGES,
        Change(
            _SELECTION,
            "if copy_id in known.present:",
            "if any(one.endswith(backup.backup_id) for one in known.present):",
        ),
    ),
    PlantedBug(
        "backups that are older than the newest copy are not copied",
        Promise.CONVERGES,
        Change(_SELECTION, "if copy_id in known.present:", "if copy_id and copy_id <= max(known.present, default=''):"),
    ),
    PlantedBug(
        "a backup that failed at its source is copied",
        Promise.IDENTICAL,
        Change(_SELECTION, "if backup.state is BackupState.FAILED:", "if not backup.state:"),
    ),
    PlantedBug(
        "a backup that is still being made is copied",
        Promise.IDENTICAL,
        Change(
            _SELECTION,
            "if backup.state is BackupState.IN_PROGRESS or backup.taken_at is None:",
            "if backup.taken_at is None:",
        ),
    ),
    PlantedBug(
        "the newest backup comes first",
        Promise.IN_TURN,
        Change(
            _SELECTION,
            "for backup, outcome in outcomes if outcome is None",
            "for backup, outcome in outcomes[::-1] if outcome is None",
        ),
    ),
    PlantedBug(
        "all exports of a run have one name",
        Promise.IDENTICAL,
        Change(_SCAN, "sha256(backup.copy_id.encode())", "sha256(self.context.chain.encode())"),
    ),
    PlantedBug(
        "an export that could not be looked at has failed",
        Promise.CONVERGES,
        Change(_EXPORT, "if not error.retryable:", "if error:"),
        Hint("one_small_backup", (Kind.UNAVAILABLE,)),
    ),
    PlantedBug(
        "an export is waited for without an end",
        Promise.ENDS,
        Change(_EXPORT, "if waited > self.context.export_timeout:", "if not waited:"),
    ),
    PlantedBug(
        "a defect at one export ends the run",
        Promise.OTHERS,
        Change(
            _EXPORT,
            "except Exception as error:  # noqa: BLE001 - a defect that",
            "except ArithmeticError as error:  # ",
        ),
        Hint("one_damaged_among_good_ones", _DEFECT),
    ),
    PlantedBug(
        "a defect in discarding an export ends the run",
        Promise.OTHERS,
        Change(
            _EXPORT, "except Exception as error:  # noqa: BLE001 - the copy is", "except ArithmeticError as error:  # "
        ),
        Hint("one_damaged_among_good_ones", _DEFECT),
    ),
    PlantedBug(
        "staged files are not discarded",
        Promise.NOTHING_LEFT,
        Change(_EXPORT, "self.context.source(rule).discard_export(export.backup, export.ticket.attempt)", "pass"),
    ),
    PlantedBug(
        "an export that cannot be asked for ends the run",
        Promise.OTHERS,
        Change(_RUN, "tried.append(self._give_up(ticket, None, error))", "raise"),
        Hint("one_damaged_among_good_ones", (Kind.REFUSED,)),
    ),
    PlantedBug(
        "the first backup that fails ends the run",
        Promise.OTHERS,
        Change(_RUN, "outcome = self._give_up(ticket, transfer, error)", "raise"),
    ),
    PlantedBug(
        "what failed is told to be copied",
        Promise.HONEST,
        Change(
            "flows/runs/copy.py",
            "isinstance(error, BackupBusy) else Status.FAILED",
            "isinstance(error, BackupBusy) else Status.COPIED",
        ),
    ),
    PlantedBug(
        "a run in which a backup failed ends as if all were well",
        Promise.HONEST,
        Change(_RUN, 'if report["failed"]:', 'if not report["line"]:'),
    ),
    PlantedBug(
        "a run does not count what failed",
        Promise.HONEST,
        Change(
            "flows/runs/report.py", "failed = counts.get(Status.FAILED, 0)", "failed = counts.get(Status.SKIPPED, 0)"
        ),
    ),
    PlantedBug(
        "a defect is logged with its text",
        Promise.SECRET,
        Change("flows/defects.py", 'f"{what}: {type(error).__name__}"', 'f"{what}: {error}"'),
        Hint("one_damaged_among_good_ones", _DEFECT),
    ),
    PlantedBug(
        "a defect is told with its text",
        Promise.SECRET,
        Change("domain/errors/runs.py", "does not know: {type(error).__name__}.", "does not know: {error}."),
        Hint("one_damaged_among_good_ones", _DEFECT),
    ),
)
