"""What every error is."""

from __future__ import annotations

from typing import ClassVar


class RdbkeeperError(Exception):
    """Something went wrong that a person should read about: a code, a sentence, a hint."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field

    @property
    def code(self) -> str:
        return type(self).__name__

    def as_record(self) -> dict[str, str]:
        """The error as plain data; `field` only where it points at one."""
        record = {"code": self.code, "message": self.message, "hint": self.hint}
        return {**record, "field": self.field} if self.field else record

    def as_answer(self) -> dict[str, str]:
        """The error as it is answered: with `field` always, "" where it points at none."""
        return {"field": "", **self.as_record()}

    def __str__(self) -> str:
        return f"{self.message} Hint: {self.hint}" if self.hint else self.message


class SettingsError(RdbkeeperError):
    """The function's environment lacks something."""
