"""Which network addresses lead inwards, or to where clouds tell a machine its credentials."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds tell a machine its credentials, beyond the link-local addresses ("Instance metadata service").
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
_EMBEDS_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052


def is_never_reached(address: str) -> bool:
    """True for addresses that lead to no server of anybody's, whatever the stack allows."""
    found = _plain(address)
    is_reserved = found.is_reserved and not found.is_loopback  # ::1 lies in a range that is reserved
    return found.is_link_local or found.is_multicast or found.is_unspecified or is_reserved or found in _METADATA


def is_private(address: str) -> bool:
    """True for addresses that not everybody on the Internet would reach in the same place."""
    found = _plain(address)
    return not found.is_global or (isinstance(found, ipaddress.IPv6Address) and found.is_site_local)


def _plain(address: str) -> Address:
    """The address, or the IPv4 address that it carries within."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _EMBEDS_IPV4:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found
