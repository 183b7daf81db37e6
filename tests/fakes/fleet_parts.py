"""What a fleet in memory is made of: the stack it belongs to, its prototype, and functions with versions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from rdbkeeper.domain.fleet.parts import Alarm, FunctionSettings, Version
from rdbkeeper.domain.fleet.settings import FleetSettings

SETTINGS = FleetSettings(
    stack="rdbkeeper",
    prototype_function="rdbkeeper-run-rule",
    scheduler_role_arn="arn:aws:iam::000000000000:role/scheduler",
    schedule_group="rdbkeeper",
    log_retention_days=90,
    alarm_topic_arn="arn:aws:sns:us-east-1:000000000000:rdbkeeper-alarms",
)
FUNCTIONS_ARN = "arn:aws:lambda:us-east-1:000000000000:function"
PROTOTYPE_SETTINGS = FunctionSettings(
    runtime="python3.13",
    role_arn="arn:aws:iam::000000000000:role/run-rule",
    handler="run_rule.app.handler",
    description="The prototype of every rule's function.",
    timeout_s=900,
    memory_mb=1024,
    architecture="arm64",
    ephemeral_storage_mb=512,
    layer_arns=("arn:aws:lambda:us-east-1:000000000000:layer:rdbkeeper:1",),
    environment=(("RDBKEEPER_STACK", "rdbkeeper"), ("RDBKEEPER_TABLE", "table")),
    kms_key_arn="",
    subnet_ids=(),
    security_group_ids=(),
    durable_timeout_s=86_400,
    durable_retention_days=14,
    log_group="/aws/lambda/rdbkeeper-run-rule",
    log_format="JSON",
    application_log_level="INFO",
    system_log_level="WARN",
)
STRANGE_SETTINGS = replace(PROTOTYPE_SETTINGS, description="somebody else's", durable_timeout_s=0)


@dataclass
class MemoryFunction:
    """A function with its versions; `alias_version` is 0 while there is no alias."""

    rule: str
    settings: FunctionSettings
    code_sha256: str
    versions: dict[int, Version] = field(default_factory=dict)
    last_version: int = 0
    alias_version: int = 0

    def publish(self) -> int:
        """The number of a version that is as the function is now: the newest, when nothing has changed since."""
        newest = self.versions.get(max(self.versions, default=0))
        if newest is None or (newest.settings, newest.code_sha256) != (self.settings, self.code_sha256):
            self.last_version += 1  # a number is never used again
            newest = Version(self.last_version, self.settings, self.code_sha256)
            self.versions[newest.number] = newest
        return newest.number


def strange_alarm(name: str) -> Alarm:
    """An alarm that somebody else made."""
    return Alarm(name, "somebody else's", "AWS/EC2", "CPUUtilization", (), "Average", 60, 1, 1, 0.5, "", "missing", ())


# Long after any rule of the tests was made: nothing about it is new.
LATER = datetime(2027, 6, 1, tzinfo=UTC)
