"""Which addresses the endpoint of a vault may lead to: a person names it, and this function must not be led inwards."""

from __future__ import annotations

import ipaddress
from functools import partial
from urllib.parse import urlsplit

from rdbkeeper.aws.names import Resolve, resolve
from rdbkeeper.domain.addresses import is_never_reached, is_private
from rdbkeeper.domain.errors import InvalidRequest, VaultUnavailable


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


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refuse(host: str, kind: str, hint: str) -> None:
    raise InvalidRequest(f"The endpoint's host {host[:200]} has {kind}.", field="endpoint", hint=hint)
