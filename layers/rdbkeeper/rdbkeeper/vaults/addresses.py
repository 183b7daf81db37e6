"""Which addresses the endpoint of a vault may lead to: a person names it, and this function must not be led inwards."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from rdbkeeper.domain.errors import InvalidRequest, VaultUnavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

# Where clouds tell a machine its credentials, beyond the link-local addresses ("Instance metadata service").
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
_EMBEDS_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_endpoint(endpoint: str, *, allows_private: bool, resolve: Resolve = resolve) -> None:
    """Raise InvalidRequest unless every address of the endpoint's host may be reached; VaultUnavailable if it has none.

    Asked before each client is made, for names change their addresses. What remains: the client asks the name servers
    again when it connects, so whoever rules the endpoint's name may answer differently in between. The functions are
    in no VPC, and what they send there is signed for S3 alone; redirects are not followed to other hosts.
    """
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        addresses = resolve(host, parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, UnicodeError) as error:
        raise VaultUnavailable(
            f"The endpoint's host {host} has no address.", hint="Look at its name; the next probe asks again."
        ) from error
    for address in addresses:
        if is_never_reached(address):
            _refuse(host, "a link-local, metadata, multicast or reserved address", "Use the store's own address.")
        if not allows_private and is_private(address):
            _refuse(
                host,
                "a private or loopback address",
                "Set the stack's parameter AllowPrivateEndpoints to true if this is what you want.",
            )


def is_never_reached(address: str) -> bool:
    """True for addresses that lead to no store, whatever the stack allows."""
    found = _plain(address)
    is_reserved = found.is_reserved and not found.is_loopback  # ::1 lies in a range that is reserved
    return found.is_link_local or found.is_multicast or found.is_unspecified or is_reserved or found in _METADATA


def is_private(address: str) -> bool:
    """True for addresses that not everybody on the Internet would reach in the same place."""
    return not _plain(address).is_global


def _plain(address: str) -> Address:
    """The address, or the IPv4 address that it carries within."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found
    if found in _EMBEDS_IPV4:
        return ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or found


def _refuse(host: str, kind: str, hint: str) -> None:
    raise InvalidRequest(f"The endpoint's host {host[:200]} has {kind}.", field="endpoint", hint=hint)
