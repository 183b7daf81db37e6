"""What the local cloud keeps about functions beside moto: durable and logging settings, states, revisions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.local_cloud.lambda_api import LATEST, LambdaError, conflict, not_found
from tests.local_cloud.sandbox import Program

# The service takes seconds; any time at all shows who does not wait.
SETTLING_S = 0.3


@dataclass(frozen=True)
class Snapshot:
    """A version's settings as moto cannot keep them."""

    durable: Mapping[str, Any] | None
    logging: Mapping[str, str]
    active_at: float
    # What was published, so that it can be told whether anything has changed since; empty for what never was.
    fingerprint: str = ""
    revision_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def state(self) -> str:
        return "Active" if time.monotonic() >= self.active_at else "Pending"

    def published(self, fingerprint: str) -> Snapshot:
        """Return the same settings as a version that becomes active in a moment."""
        active_at = time.monotonic() + SETTLING_S
        return replace(self, active_at=active_at, fingerprint=fingerprint, revision_id=str(uuid.uuid4()))

    def changed(self, durable: Mapping[str, Any] | None, logging: Mapping[str, str]) -> Snapshot:
        """Return these settings with others, under a new revision."""
        return replace(self, durable=durable, logging=logging, revision_id=str(uuid.uuid4()))


@dataclass
class FunctionRecord:
    """One function: its unpublished settings, its versions, and what is under way."""

    name: str
    latest: Snapshot
    versions: dict[str, Snapshot] = field(default_factory=dict)
    updated_at: float = 0.0
    # What ran before the update that is in progress: until that has ended, it is still what runs.
    replaced: Program | None = None

    def snapshot(self, version: str) -> Snapshot:
        """Return the settings of a version."""
        if version == LATEST:
            return self.latest
        if version not in self.versions:
            raise not_found(f"Version {version} of function {self.name}")
        return self.versions[version]

    @property
    def is_updating(self) -> bool:
        return time.monotonic() < self.updated_at

    def check_settled(self) -> None:
        """Raise while the function cannot be changed: it is being made, or an update is under way."""
        if self.latest.state == "Pending":
            raise conflict(f"Function {self.name} is in state Pending; wait until it is Active.")
        if self.is_updating:
            raise conflict(f"An update of function {self.name} is in progress; wait until it has ended.")

    def check_revision(self, expected: object) -> None:
        """Raise when the caller knows another revision than the present one."""
        if expected is not None and expected != self.latest.revision_id:
            raise LambdaError(
                "PreconditionFailedException",
                f"Function {self.name} has revision {self.latest.revision_id}, not {expected}. Read it again.",
            )

    def update(self, latest: Snapshot, replaced: Program) -> None:
        """Take new settings; for a moment the update is in progress."""
        self.latest = latest
        self.replaced = replaced
        self.updated_at = time.monotonic() + SETTLING_S

    def describe(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return moto's description of a version with what is kept here."""
        snapshot = self.snapshot(config["Version"])
        described = config | {
            "LoggingConfig": dict(snapshot.logging),
            "RevisionId": snapshot.revision_id,
            "State": snapshot.state,
        }
        if snapshot.durable is not None:
            described["DurableConfig"] = dict(snapshot.durable)
        if snapshot.state == "Pending":
            described |= {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
            described.pop("LastUpdateStatus", None)
        elif config["Version"] == LATEST and self.is_updating:
            described |= {"LastUpdateStatus": "InProgress", "LastUpdateStatusReasonCode": "Updating"}
            described["LastUpdateStatusReason"] = "The function is being updated."
        else:
            described["LastUpdateStatus"] = "Successful"
        return described
