"""Reads what a request says about a rule: the whole of it, an edit, or what many rules share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rdbkeeper.domain.backup_first import DEFAULT_FREEZE_S, LONGEST_FREEZE_S, BackupFirst
from rdbkeeper.domain.cycle import Cycle
from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError, is_address_or_arn
from rdbkeeper.domain.retention import KEEP_EVERYTHING, MOST, Retention, let_go
from rdbkeeper.domain.rule import MOST_AUDIT_DAYS, MOST_BANDWIDTH_MBPS, Rule
from rdbkeeper.domain.rule_edit import RuleEdit
from rdbkeeper.domain.source import (
    DEFAULT_KEYS_PER_SECOND,
    FEWEST_KEYS_PER_SECOND,
    LIVE_PROVIDER,
    MOST_KEYS_PER_SECOND,
    WHERE_LOGINS_GO,
    SourceAccess,
    Way,
)
from rdbkeeper.domain.vault import DEFAULT_VAULT
from rdbkeeper.entry.json_object import JsonObject, shorten
from rdbkeeper.entry.request_fields import about_rule

MOST_RULES_AT_ONCE = 99
INSTANCE_IN_NAME = "{instance}"
LONGEST_PATTERN = 80  # each place in it may be filled with an instance's name of any length


def read_rule(given: JsonObject, now: datetime) -> Rule:
    """A rule that does not exist yet."""
    name = given.text("name")
    source = given.child("source")
    provider, instance = source.text("provider"), source.text("instance")
    access = SourceAccess(**_read_access(source))
    source.refuse_the_rest()
    shared = _Shared.read(given)
    given.refuse_the_rest()
    return shared.make(name, provider, instance, access, now)


def read_edit(given: JsonObject) -> RuleEdit:
    """What an edit says; what it leaves out stays as it is."""
    if given.has("name"):
        raise InvalidRequest(
            "A rule's name cannot change.",
            field="rule.name",
            hint="Leave it out. For another name, create a rule with it and delete this one; copies are not made twice "
            "only where the instance and prefix stay the same.",
        )
    source = given.child("source") if given.has("source") else None
    has_backup_first, backup_first = given.has("backup_first"), _read_backup_first(given)
    edit = RuleEdit(
        provider=_optional(source, "provider"),
        access=(_read_access(source) or None) if source is not None else None,
        backup_first=backup_first,
        ends_backup_first=has_backup_first and backup_first is None,
        instance=_optional(source, "instance"),
        cycle=read_cycle(given.child("cycle")) if given.has("cycle") else None,
        vault=_optional(given, "vault"),
        prefix=_optional(given, "prefix"),
        role=_optional(given, "role"),
        bandwidth_mbps=_read_bandwidth(given) if given.has("bandwidth_mbps") else None,
        retention=_read_retention(given) if given.has("retention") else None,
        audit_every_days=_read_audit_days(given) if given.has("audit_every_days") else None,
    )
    if source is not None:
        source.refuse_the_rest()
    given.refuse_the_rest()
    return edit


def read_many(given: JsonObject, instances: tuple[str, ...], now: datetime) -> list[tuple[str, Rule | RdbkeeperError]]:
    """A rule for each instance, or what keeps it from being one; raises for what they share."""
    if not 1 <= len(instances) <= MOST_RULES_AT_ONCE or len(set(instances)) != len(instances):
        raise InvalidRequest(
            f"The field instances has {len(instances)} entries, of which {len(set(instances))} differ.",
            field="instances",
            hint=f"Name 1 to {MOST_RULES_AT_ONCE} instances, each once.",
        )
    pattern = given.text("name")
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidRequest(
            f"The name {pattern[:80]!r} has over {LONGEST_PATTERN} characters.",
            field="rule.name",
            hint="A rule's name has at most 31.",
        )
    if INSTANCE_IN_NAME not in pattern:
        raise InvalidRequest(
            f"The name {pattern[:80]!r} would be that of every rule.",
            field="rule.name",
            hint=f"Write {INSTANCE_IN_NAME} where the instance's name belongs, for example {INSTANCE_IN_NAME}-nightly.",
        )
    source = given.child("source")
    provider, access = source.text("provider"), SourceAccess(**_read_access(source))
    if provider == LIVE_PROVIDER:
        raise InvalidRequest(
            f"Rules for {LIVE_PROVIDER} cannot be made many at once: all of them would be of one server.",
            field="rule.source.provider",
            hint="Each server has an address of its own: send a `create` for each.",
        )
    source.refuse_the_rest()
    shared = _Shared.read(given)
    given.refuse_the_rest()
    rules: list[tuple[str, Rule | RdbkeeperError]] = []
    for instance in instances:
        name = pattern.replace(INSTANCE_IN_NAME, instance)
        try:
            with about_rule():
                rules.append((name, shared.make(name, provider, instance, access, now)))
        except RdbkeeperError as error:
            shown = pattern.replace(INSTANCE_IN_NAME, "...") if is_address_or_arn(instance) else name
            rules.append((shorten(shown), error))
    return rules


def read_cycle(given: JsonObject) -> Cycle:
    """When a rule fires."""
    kind = given.text("kind")
    time_zone = given.text("time_zone", "UTC" if kind == "manual" else None)
    match kind:
        case "daily":
            cycle = Cycle(kind, time_zone, at=given.text("at"))
        case "weekly":
            cycle = Cycle(kind, time_zone, at=given.text("at", "00:00"), days=given.texts("days"))
        case "custom":
            cycle = Cycle(kind, time_zone, cron=given.text("cron"))
        case _:
            cycle = Cycle(kind, time_zone)  # manual, or refused as a kind that it does not know
    given.refuse_the_rest()
    return cycle


@dataclass(frozen=True)
class _Shared:
    """What a rule says besides its name and its instance."""

    cycle: Cycle
    vault: str
    prefix: str
    role: str
    bandwidth_mbps: int
    retention: Retention
    audit_every_days: int
    backup_first: BackupFirst | None

    @classmethod
    def read(cls, given: JsonObject) -> _Shared:
        return cls(
            cycle=read_cycle(given.child("cycle")),
            vault=given.text("vault", DEFAULT_VAULT),
            prefix=given.text("prefix", ""),
            role=given.text("role", ""),
            bandwidth_mbps=_read_bandwidth(given),
            retention=_read_retention(given),
            audit_every_days=_read_audit_days(given),
            backup_first=_read_backup_first(given),
        )

    def make(self, name: str, provider: str, instance: str, access: SourceAccess, now: datetime) -> Rule:
        # What lies in the place already, from a rule before this one, was not made under this retention.
        outgoing = () if self.retention.keeps_everything else let_go((), KEEP_EVERYTHING, now.replace(microsecond=0))
        return Rule(
            name=name,
            provider=provider,
            instance=instance,
            cycle=self.cycle,
            vault=self.vault,
            prefix=self.prefix,
            role=self.role,
            bandwidth_mbps=self.bandwidth_mbps,
            retention=self.retention,
            outgoing=outgoing,
            audit_every_days=self.audit_every_days,
            access=access,
            backup_first=self.backup_first,
            created_at=now.replace(microsecond=0),
        )


def _optional(given: JsonObject | None, name: str) -> str | None:
    return given.text(name) if given is not None and given.has(name) else None


def _read_access(source: JsonObject) -> dict[str, Any]:
    """The fields of a source besides its provider and instance, as far as they are there."""
    for name in ("username", "password"):
        if source.has(name):
            where = f"rule.source.{name}"
            raise InvalidRequest(f"The field {where} does not belong here.", field=where, hint=WHERE_LOGINS_GO)
    read: dict[str, Any] = {name: source.text(name) for name in ("region", "secret", "address") if source.has(name)}
    if source.has("tls"):
        read["tls"] = source.flag("tls", default=True)
    if source.has("way"):
        read["way"] = _read_way(source.text("way"))
    if source.has("keys_per_second"):
        most, usual = MOST_KEYS_PER_SECOND, DEFAULT_KEYS_PER_SECOND
        read["keys_per_second"] = source.number("keys_per_second", FEWEST_KEYS_PER_SECOND, most, usual)
    return read


def _read_way(text: str) -> Way:
    if text not in list(Way):
        raise InvalidRequest(
            f"{text[:80]!r} is no way to read a server.", field="source.way", hint=f"Use {', '.join(Way)}."
        )
    return Way(text)


def _read_backup_first(given: JsonObject) -> BackupFirst | None:
    """What a rule says of backups on demand: `true`, or its hooks; None where it says nothing, `false` or null."""
    wanted = given.flag_or_child("backup_first")
    if isinstance(wanted, bool):
        return BackupFirst() if wanted else None
    _check_names_hooks(wanted)
    backup_first = BackupFirst(
        freeze=wanted.text("freeze", ""),
        thaw=wanted.text("thaw", ""),
        longest_freeze_s=wanted.number("longest_freeze_s", 1, LONGEST_FREEZE_S, DEFAULT_FREEZE_S),
        demands_application=wanted.flag("demands_application", default=False),
    )
    wanted.refuse_the_rest()
    return backup_first


def _check_names_hooks(wanted: JsonObject) -> None:
    """Raise InvalidRequest for what says how writes are frozen and not by what: an edit would take the hooks away."""
    for name in ("longest_freeze_s", "demands_application"):
        if wanted.has(name) and not wanted.has("freeze"):
            raise InvalidRequest(
                f"The field rule.backup_first.{name} is about freezing writes, and no function to freeze them is "
                "named.",
                field=f"rule.backup_first.{name}",
                hint="What is sent replaces all of `backup_first`: name `freeze` and `thaw` with it.",
            )


def _read_bandwidth(given: JsonObject) -> int:
    return given.number("bandwidth_mbps", 0, MOST_BANDWIDTH_MBPS, 0)


def _read_retention(given: JsonObject) -> Retention:
    if not given.has("retention"):
        return KEEP_EVERYTHING
    wanted = given.child("retention")
    retention = Retention(**{name: wanted.number(name, 0, most, 0) for name, most in MOST.items()})
    wanted.refuse_the_rest()
    return retention


def _read_audit_days(given: JsonObject) -> int:
    return given.number("audit_every_days", 0, MOST_AUDIT_DAYS, 0)
