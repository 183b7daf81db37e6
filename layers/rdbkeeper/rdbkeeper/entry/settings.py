"""Each function's environment as a frozen dataclass; what is missing or malformed is said by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from rdbkeeper.domain.errors import SettingsError
from rdbkeeper.domain.fleet.settings import RULE_VARIABLE, FleetSettings, Network
from rdbkeeper.domain.transfer import CopySettings
from rdbkeeper.ports import Journal, Poll

# Looks grow apart from the first interval to four times that (30 s to 2 min by the template's defaults), and further
# where an export may take so long that looks at that pace would use up what a durable execution may hold: 3,000
# operations, of which a look is one.
LONGEST_POLL_FACTOR = 4
MOST_LOOKS_PER_EXPORT = 300

_HINT = "The template sets it; deploy the stack again, or put the variable back."
_BYTES_PER_GIGABYTE = 10**9
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_Settings = TypeVar("_Settings")


def _read(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"The environment variable {name} is missing.", hint=_HINT)
    return value


def _read_number(environment: Mapping[str, str], name: str) -> int:
    text = _read(environment, name)
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"The environment variable {name} is {text!r}, not a whole number from 1.", hint=_HINT)
    return int(text)


def _read_gigabytes(environment: Mapping[str, str], name: str) -> int:
    """A size in bytes. The template asks people for whole gigabytes; a fraction serves to try what large ones do."""
    text = _read(environment, name)
    if not _DECIMAL.fullmatch(text) or float(text) == 0:
        raise SettingsError(f"The environment variable {name} is {text!r}, not a size in gigabytes.", hint=_HINT)
    return round(float(text) * _BYTES_PER_GIGABYTE)


def _read_list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The items between commas; none where nothing was given."""
    return tuple(filter(None, environment.get(name, "").split(",")))


def read_logged(
    read: Callable[[Mapping[str, str]], _Settings], environment: Mapping[str, str], journal: Journal
) -> _Settings:
    """Some settings, or a SettingsError, which is logged as well: an engine keeps only an error's text."""
    try:
        return read(environment)
    except SettingsError as error:
        journal.error("SettingsWrong", f"This function cannot run: {error}", reason=error.code)
        raise


def rule_of(environment: Mapping[str, str]) -> str:
    """The rule that a function belongs to, for its log; "-" where it belongs to none."""
    return environment.get(RULE_VARIABLE) or "-"


@dataclass(frozen=True)
class StoreSettings:
    """Where things are kept; every function reads these.

    `account` is the stack's own, which buckets of its vaults must be owned by; "" where nobody said. `tencent_endpoint`
    is where Tencent Cloud's API is called, `tencent_file_hosts` are where it may keep backup files; without them the
    source's own defaults hold. For `export_quiet` no new file must have come of an export that does not say how many
    it has.
    """

    table: str
    vault_bucket: str
    staging_bucket: str
    region: str = ""
    account: str = field(default="", repr=False)
    allows_private_endpoints: bool = False
    tencent_endpoint: str = ""
    tencent_file_hosts: tuple[str, ...] = ()
    export_quiet: timedelta = timedelta(minutes=5)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> StoreSettings:
        return cls(
            table=_read(environment, "RDBKEEPER_TABLE"),
            vault_bucket=_read(environment, "RDBKEEPER_VAULT_BUCKET"),
            staging_bucket=_read(environment, "RDBKEEPER_STAGING_BUCKET"),
            region=environment.get("AWS_REGION", ""),
            account=environment.get("RDBKEEPER_ACCOUNT", ""),
            # Whatever is not said in this very word is no leave.
            allows_private_endpoints=environment.get("RDBKEEPER_ALLOW_PRIVATE_ENDPOINTS", "") == "true",
            tencent_endpoint=environment.get("RDBKEEPER_TENCENT_ENDPOINT", ""),
            tencent_file_hosts=_read_list(environment, "RDBKEEPER_TENCENT_FILE_HOSTS"),
        )


@dataclass(frozen=True)
class RunSettings:
    """The settings of a rule's function.

    `worker` is the ARN of the version of the leg worker that was deployed with it, and `longest_invocation` is how
    long Lambda lets one of its invocations live.
    """

    rule: str
    store: StoreSettings
    poll: Poll
    export_timeout: timedelta
    copying: CopySettings
    worker: str
    longest_invocation: timedelta
    stack_name: str = ""
    stack_id: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RunSettings:
        """Raises SettingsError; the prototype itself, which belongs to no rule, fails here by name."""
        first_s = _read_number(environment, "RDBKEEPER_EXPORT_POLL_SECONDS")
        timeout_minutes = _read_number(environment, "RDBKEEPER_EXPORT_TIMEOUT_MINUTES")
        # Only a rule's function waits for exports, so only its environment has it.
        quiet = timedelta(seconds=_read_number(environment, "RDBKEEPER_EXPORT_QUIET_SECONDS"))
        return cls(
            rule=_read(environment, RULE_VARIABLE),
            store=replace(StoreSettings.from_environment(environment), export_quiet=quiet),
            poll=Poll(first_s, max(first_s * LONGEST_POLL_FACTOR, timeout_minutes * 60 // MOST_LOOKS_PER_EXPORT)),
            export_timeout=timedelta(minutes=timeout_minutes),
            copying=CopySettings(
                spread_from_bytes=_read_gigabytes(environment, "RDBKEEPER_SPREAD_FROM_GIGABYTES"),
                workers=_read_number(environment, "RDBKEEPER_WORKERS_PER_RULE"),
            ),
            worker=_read(environment, "RDBKEEPER_COPY_LEG_FUNCTION"),
            longest_invocation=timedelta(seconds=_read_number(environment, "RDBKEEPER_INVOCATION_SECONDS")),
            stack_name=environment.get("RDBKEEPER_STACK", ""),
            stack_id=environment.get("RDBKEEPER_STACK_ID", ""),
        )


@dataclass(frozen=True)
class ManageSettings:
    """The settings of the functions that manage rules and reconcile the fleet with them."""

    store: StoreSettings
    fleet: FleetSettings

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ManageSettings:
        return cls(
            store=StoreSettings.from_environment(environment),
            fleet=FleetSettings(
                stack=_read(environment, "RDBKEEPER_STACK"),
                prototype_function=_read(environment, "RDBKEEPER_PROTOTYPE_FUNCTION"),
                scheduler_role_arn=_read(environment, "RDBKEEPER_SCHEDULER_ROLE_ARN"),
                schedule_group=_read(environment, "RDBKEEPER_SCHEDULE_GROUP"),
                log_retention_days=_read_number(environment, "RDBKEEPER_LOG_RETENTION_DAYS"),
                alarm_topic_arn=_read(environment, "RDBKEEPER_ALARM_TOPIC_ARN"),
                rule_role_arns=_read_list(environment, "RDBKEEPER_RULE_ROLE_ARNS"),
                hook_function_arns=_read_list(environment, "RDBKEEPER_HOOK_FUNCTION_ARNS"),
                stack_id=environment.get("RDBKEEPER_STACK_ID", ""),
                network=Network(
                    tuple(sorted(_read_list(environment, "RDBKEEPER_VPC_SUBNET_IDS"))),
                    tuple(sorted(_read_list(environment, "RDBKEEPER_VPC_SECURITY_GROUP_IDS"))),
                ),
            ),
        )
