"""A service's errors and calls, whatever its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ServiceError(Exception):
    """An error as the service answers it: a wire code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Call:
    """One parsed request: the operation's name and its parameters, with the types that the model states."""

    operation: str
    parameters: Mapping[str, Any]
