"""Who may read backup files, as "DescribeBackupDownloadRestriction" and "DescribeBackupUrl" document it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.local_cloud.tencentdb.wire import invalid

LIMIT_TYPES = ("NoLimit", "LimitOnlyIntranet", "Customize")


@dataclass(frozen=True)
class Restriction:
    """A limit on where backup files may be read from; ips_allowed is None when it names no addresses."""

    limit_type: str = "NoLimit"
    ips: tuple[str, ...] = ()
    ips_allowed: bool | None = None
    vpcs: tuple[Mapping[str, Any], ...] = ()

    def allows(self, address: str) -> bool:
        """True when a public link may be read from an address; nothing here is in a private network of theirs."""
        if self.limit_type != "Customize":
            return self.limit_type == "NoLimit"
        return self.ips_allowed is not None and (address in self.ips) == self.ips_allowed


def read_restriction(parameters: Mapping[str, Any]) -> Restriction | None:
    """Return the restriction that a call asks for its links, None when it asks for none. Raises ApiError."""
    limit_type = parameters.get("LimitType")
    if limit_type is None:
        return None
    if limit_type not in LIMIT_TYPES:
        raise invalid(f"LimitType must be one of {', '.join(LIMIT_TYPES)}: {limit_type}")
    symbol = parameters.get("IpComparisonSymbol")
    if symbol not in (None, "In", "NotIn") or parameters.get("VpcComparisonSymbol", "In") != "In":
        raise invalid("IpComparisonSymbol must be In or NotIn, VpcComparisonSymbol In.")
    return Restriction(
        limit_type=limit_type,
        ips=tuple(parameters.get("LimitIp", ())),
        ips_allowed=None if symbol is None else symbol == "In",
        vpcs=tuple(parameters.get("LimitVpc", ())),
    )


def describe_restriction(restriction: Restriction) -> dict[str, Any]:
    """Return a restriction as DescribeBackupDownloadRestriction does."""
    symbols = {None: "", True: "In", False: "NotIn"}
    return {
        "LimitType": restriction.limit_type,
        "VpcComparisonSymbol": "In" if restriction.vpcs else "",
        "IpComparisonSymbol": symbols[restriction.ips_allowed],
        "LimitVpc": [dict(vpc) for vpc in restriction.vpcs],
        "LimitIp": list(restriction.ips),
    }
