"""Bugs in moving a backup's parts, in one sandbox or in several."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_LEG = "flows/runs/transfer.py"
_LEGS = "flows/runs/legs.py"
_PLAN = "domain/transfer.py"

MOVING = (
    PlantedBug(
        "a stream's end counts as success",
        Promise.IDENTICAL,
        Change(_LEG, "raise _cut_short(file, first_byte + filled)", "break"),
        Hint("files_without_a_sum", (Kind.CUT_MIDWAY,)),
    ),
    PlantedBug(
        "bytes after the range's end are ignored",
        Promise.DECLARED_SIZE,
        Change(_LEG, "if stream.readinto(memoryview(bytearray(1))):", "if not stream:"),
    ),
    PlantedBug(
        "the bytes of a stream that is too long count",
        Promise.DECLARED_SIZE,
        Change(_LEG, "return 0, error", "return filled, error"),
    ),
    PlantedBug(
        "a broken part is read from its beginning into the middle of the buffer",
        Promise.CONVERGES,
        Change(_LEG, "_read_on(file, first_byte + filled, part[filled:]", "_read_on(file, first_byte, part[filled:]"),
        Hint("one_small_backup", (Kind.RESET_MIDWAY,)),
    ),
    PlantedBug(
        "every part is read from the file's beginning",
        Promise.IDENTICAL,
        Change(_LEG, "ports.source.open_range(file.staged, first_byte,", "ports.source.open_range(file.staged, 0,"),
    ),
    PlantedBug(
        "no part is missing when the last one is",
        Promise.CONVERGES,
        Change(_PLAN, "if next_part <= self.part_count:", "if next_part < self.part_count:"),
    ),
    PlantedBug(
        "a gap between two stretches is filled one part too far",
        Promise.IN_TURN,
        Change(
            _PLAN,
            "yield Piece(self.name, next_part, stretch.first_part - 1)",
            "yield Piece(self.name, next_part, stretch.first_part)",
        ),
        Hint("spread_over_workers", (Kind.CRASH_BEFORE,)),
    ),
    PlantedBug(
        "the last bytes that fill no part are left out",
        Promise.CONVERGES,
        Change(
            "domain/parts.py",
            "return max(1, -(-size_bytes // part_size_bytes))",
            "return max(1, size_bytes // part_size_bytes)",
        ),
    ),
    PlantedBug(
        "the last part is asked for whole",
        Promise.CONVERGES,
        Change(
            "domain/parts.py",
            "return first, min(part_size_bytes, size_bytes - first)",
            "return first, part_size_bytes",
        ),
    ),
    PlantedBug(
        "stretches are kept in the order in which they came",
        Promise.IDENTICAL,
        Change(
            _PLAN,
            "stretches = sorted((*self.stretches, *added), key=lambda stretch: stretch.first_part)",
            "stretches = [*self.stretches, *added]",
        ),
        Hint("spread_over_workers", (Kind.CRASH_BEFORE,)),
    ),
    PlantedBug(
        "a replaced fragment counts as copied",
        Promise.CONVERGES,
        Change(
            _PLAN,
            "return FileTransfer(self.staged, self.key, upload_id, self.part_size_bytes)",
            "return replace(self, upload_id=upload_id)",
        ),
    ),
    PlantedBug(
        "two shares hold the same part",
        Promise.IN_TURN,
        Change(
            "domain/shares.py", "Piece(piece.file, cut + 1, piece.last_part)", "Piece(piece.file, cut, piece.last_part)"
        ),
    ),
    PlantedBug(
        "what workers failed of is not looked at",
        Promise.ENDS,
        Change(
            _LEGS, 'errors = [from_record(answer["failed"]) for answer in answers if "failed" in answer]', "errors = []"
        ),
    ),
    PlantedBug(
        "a worker that died is not tried again",
        Promise.CONVERGES,
        Change(_LEGS, "elif not error.retryable:", "elif error:"),
    ),
    PlantedBug(
        "rounds in which nothing is moved go on for ever",
        Promise.ENDS,
        Change(_LEGS, "if self._vain_rounds == MOST_VAIN_ROUNDS:", "if self._vain_rounds < 0:"),
    ),
    PlantedBug(
        "workers that cannot be reached are asked again and again",
        Promise.CONVERGES,
        Change(_LEGS, "self._is_alone = True", "self._is_alone = False"),
    ),
    PlantedBug(
        "workers that cannot be reached fail the backup",
        Promise.CONVERGES,
        Change(_LEGS, "if isinstance(error, WorkerDenied):", "if not error:"),
    ),
    PlantedBug(
        "a worker starts the count of parts at the file's beginning",
        Promise.IN_TURN,
        Change(
            "flows/runs/worker.py",
            '"pieces": [piece.as_record() for piece in share],',
            '"pieces": [[piece.file, 1, piece.last_part] for piece in share],',
        ),
    ),
    PlantedBug(
        "a worker lets its error out",
        Promise.OTHERS,
        Change("flows/runs/worker.py", "except RdbkeeperError as error:", "except ArithmeticError as error:"),
    ),
    PlantedBug(
        "a leg that is always killed begins for ever",
        Promise.ENDS,
        Change("flows/runs/copy.py", "if attempts > MOST_LEG_ATTEMPTS:", "if not attempts:"),
    ),
)
