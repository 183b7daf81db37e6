"""Providers, and what a rule says about how its own is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rdbkeeper.domain.addresses import is_never_reached
from rdbkeeper.domain.errors import InvalidRequest

LIVE_PROVIDER = "redis"
PROVIDERS = ("elasticache", "elasticache-serverless", "memorydb", "tencentdb", LIVE_PROVIDER)
# Where a backup that is asked for has no name by which the provider knows it again, so that asking twice makes two.
NAMELESS_BACKUPS = frozenset({"tencentdb"})
DEFAULT_KEYS_PER_SECOND = 10_000
FEWEST_KEYS_PER_SECOND = 100
MOST_KEYS_PER_SECOND = 1_000_000

# Regions of Tencent Cloud: `ap-guangzhou`, `na-siliconvalley`, `ap-shanghai-fsi` ("Regions and AZs").
_REGION = re.compile(r"[a-z]{2,4}(-[a-z0-9]+){1,3}")
# The stack's functions may read only secrets below this name ("CreateSecret": the characters that a name may have).
_SECRET = re.compile(r"rdbkeeper/[A-Za-z0-9/_+=.@-]{1,400}")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>{_NAME})):(?P<port>[0-9]{{1,5}})")
# No top-level domain is a number, so whatever ends in one is to be an IPv4 address ("URL", WHATWG: "ends in a number").
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?[0-9]+")


class Way(StrEnum):
    """How a server that is reached directly is read: as its server allows, as a replica would, or key by key."""

    AUTO = "auto"
    FULL_SYNC = "full-sync"
    LOGICAL = "logical"


@dataclass(frozen=True)
class SourceAccess:
    """How a rule's provider is reached, where the stack's own role and region do not say it.

    `region` is Tencent Cloud's. `secret` is the name of a secret in Secrets Manager: an API key pair for `tencentdb`,
    user and password for `redis`. `address` is a server's host and port, of a cluster any node's; the rest is for
    `redis` as well. `keys_per_second` is how fast a server is read key by key.
    """

    region: str = ""
    secret: str = ""
    address: str = ""
    tls: bool = True
    way: Way = Way.AUTO
    keys_per_second: int = DEFAULT_KEYS_PER_SECOND

    def leads_to_same(self, other: SourceAccess) -> bool:
        """True when an instance of one name is the same one by both; how fast or as whom it is read may differ."""
        return (self.region, self.address) == (other.region, other.address)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def as_record(self) -> dict[str, Any]:
        """What differs from the defaults, as plain data."""
        plain = {**vars(self), "way": self.way.value}
        default = {**vars(SourceAccess()), "way": Way.AUTO.value}
        return {name: value for name, value in plain.items() if value != default[name]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SourceAccess:
        """The access that `as_record` wrote down."""
        known = {name: record[name] for name in vars(cls()) if name in record}
        if "way" in known:
            known["way"] = Way(known["way"])
        if "keys_per_second" in known:
            known["keys_per_second"] = int(known["keys_per_second"])
        return cls(**known)


NO_ACCESS = SourceAccess()
"""What a rule says whose provider the stack's own role and region are enough for."""


def check_provider(provider: str, field: str = "source.provider") -> None:
    """Raise InvalidRequest, naming the field, for a provider that there is no source for."""
    if provider not in PROVIDERS:
        raise InvalidRequest(
            f"The provider {provider[:80]!r} is unknown.", field=field, hint=f"Use {', '.join(PROVIDERS)}."
        )


def check_access(provider: str, access: SourceAccess, parent: str = "source.") -> None:
    """Raise InvalidRequest, naming the field below `parent`, unless `access` says just what its provider needs."""
    needed = {"tencentdb": {"region", "secret"}, LIVE_PROVIDER: {"address"}}.get(provider, set())
    known = needed | ({"secret", "tls", "way", "keys_per_second"} if provider == LIVE_PROVIDER else set())
    given = set(access.as_record())
    for name in sorted(given - known):
        raise InvalidRequest(
            f"A source at {provider} has no {name}.", field=f"{parent}{name}", hint="Leave the field out."
        )
    for name in sorted(needed - given):
        raise InvalidRequest(
            f"A source at {provider} needs the field {name}.",
            field=f"{parent}{name}",
            hint=_WHAT_IS_NEEDED[name],
        )
    _check_forms(access, parent)


_WHAT_IS_NEEDED = {
    "region": "Name the region of the instance, such as ap-guangzhou.",
    "secret": 'Name a secret below `rdbkeeper/` that holds {"secret_id": "...", "secret_key": "..."}.',
    "address": "Write host:port alone, the port 1 to 65535, IPv6 in brackets; of a cluster that of any node. TLS goes "
    "into `tls`, user and password into the secret that `secret` names.",
}
WHERE_LOGINS_GO = "User and password go into a secret below `rdbkeeper/` in Secrets Manager, which `secret` names."


def _check_forms(access: SourceAccess, parent: str) -> None:
    # No value is shown: where somebody writes a URL for an address, its password is in it.
    if access.region and not _REGION.fullmatch(access.region):
        raise _wrong(parent, "region", "is no region", _WHAT_IS_NEEDED["region"])
    if access.secret and not _SECRET.fullmatch(access.secret):
        hint = "Write the name of a secret that begins with `rdbkeeper/`; other secrets this stack must not read."
        raise _wrong(parent, "secret", "is not the name of a secret that this stack may read", hint)
    if access.address:
        _check_address(access.address, parent)
    if not FEWEST_KEYS_PER_SECOND <= access.keys_per_second <= MOST_KEYS_PER_SECOND:
        hint = f"Write {FEWEST_KEYS_PER_SECOND} to {MOST_KEYS_PER_SECOND}."
        raise _wrong(parent, "keys_per_second", "is no such rate", hint)


def _check_address(address: str, parent: str) -> None:
    found = _ADDRESS.fullmatch(address)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise _wrong(parent, "address", "is no address", _WHAT_IS_NEEDED["address"])
    host = found["ipv6"] or found["name"]
    if found["name"] and not _ENDS_IN_NUMBER.fullmatch(host):
        return  # what a name stands for is looked at whenever it is connected to
    try:
        leads_nowhere = is_never_reached(host)
    except ValueError:
        raise _wrong(parent, "address", "is no address", _WHAT_IS_NEEDED["address"]) from None
    if leads_nowhere:
        what = "is a link-local, metadata, multicast or reserved address"
        raise _wrong(parent, "address", what, "Use the server's own address.")


def _wrong(parent: str, name: str, what: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"The field {parent}{name} {what}.", field=f"{parent}{name}", hint=hint)


def how_to_name(provider: str) -> str:
    """How a rule or a request names an instance of that provider."""
    return _HOW_INSTANCES_ARE_NAMED.get(provider, "Use the name under which its copies lie")


_HOW_INSTANCES_ARE_NAMED = {
    "elasticache": "Use the id of the replication group, or of a node that belongs to none",
    "elasticache-serverless": "Use the name of the cache",
    "memorydb": "Use the name of the cluster",
    "tencentdb": "Use the id of the instance, `crs-...`",
    LIVE_PROVIDER: "Choose a name under which its copies are to lie; the server's own goes into `address`",
}


def name_missing(provider: str, instance: str, access: SourceAccess) -> tuple[str, str]:
    """What to say of an instance that its provider does not list: a sentence and a hint."""
    where = f"in {access.region}" if access.region else "in this region"
    return f"There is no {provider} instance {instance} {where}.", _WHERE_INSTANCES_ARE.get(provider, "")


_WHERE_INSTANCES_ARE = {
    "elasticache": "The action `instances` shows those that there are: replication groups, and nodes that belong to "
    "none. A serverless cache is of the provider elasticache-serverless.",
    "elasticache-serverless": "The action `instances` shows the caches that there are; a replication group is of the "
    "provider elasticache.",
    "memorydb": "The action `instances` shows the clusters that there are.",
    "tencentdb": "Look at the region, and name the instance by its id, `crs-...`; the action `instances` shows those "
    "that there are.",
}
