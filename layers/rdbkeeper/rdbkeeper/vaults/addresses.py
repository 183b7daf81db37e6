"""Which addresses the endpoint of a vault may lead to: a person names it, and this function must not be led inwards."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
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


def check_endpoint(endpoint: str, *, allows_private: bool, bucket: str = "", resolve: Resolve = resolve) -> None:
    """Raise InvalidRequest unless every address of the endpoint may be reached; VaultUnavailable where there is none.

    `bucket` is given where its name becomes part of the host's. Asked before each client is made, for names change
    their addresses. What remains: the client asks the name servers again when it connects, so whoever rules the
    endpoint's name may answer differently in between; the address that is connected to is not looked at. The functions
    are in no VPC, what they send there is signed for S3 alone, and redirects are not followed to other hosts.
    """
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    find = partial(_find_addresses, port=port, resolve=resolve)
    _check_addresses(
        host, find(host, hint="Look at its name; the next probe asks again."), allows_private=allows_private
    )
    if bucket and not _is_literal(host):  # in front of an address nothing can stand: the client writes a path then
        hint = 'Where the store does not know buckets by their hosts, choose the addressing style "path".'
        host = f"{bucket}.{host}"
        _check_addresses(host, find(host, hint=hint), allows_private=allows_private)


def _find_addresses(host: str, *, port: int, resolve: Resolve, hint: str) -> list[str]:
    try:
        return resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise VaultUnavailable(f"The endpoint's host {host} has no address.", hint=hint) from error


def _check_addresses(host: str, addresses: list[str], *, allows_private: bool) -> None:
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
    found = _plain(address)
    return not found.is_global or (isinstance(found, ipaddress.IPv6Address) and found.is_site_local)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
