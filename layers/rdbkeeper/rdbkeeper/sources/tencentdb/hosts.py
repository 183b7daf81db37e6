"""Which hosts a link to a backup file may lead to, and where to connect.

A link is the provider's word, and whoever answers for the provider may have been deceived: it is followed only to the
hosts of its object store, over HTTPS, and to none of its addresses that leads inwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from rdbkeeper.aws.names import Resolve, resolve
from rdbkeeper.domain.addresses import is_never_reached, is_private
from rdbkeeper.domain.errors import LinkRefused, SourceUnavailable

# Tencent Cloud's object store ("Regions and Access Endpoints", COS): `{bucket}.cos.{region}.myqcloud.com`.
DEFAULT_FILE_HOSTS = (".myqcloud.com", ".tencentcos.cn")
_HTTPS_PORT = 443


@dataclass(frozen=True)
class Target:
    """Where a link leads: to that host at that address; `path` holds the link's signature and is never shown."""

    scheme: str
    host: str
    port: int
    address: str
    path: str = field(repr=False)

    @property
    def authority(self) -> str:
        """What the request calls its host."""
        ordinary = _HTTPS_PORT if self.scheme == "https" else 80
        return self.host if self.port == ordinary else f"{self.host}:{self.port}"


class FileHosts:
    """The hosts that keep backup files.

    `allowed` are endings of names (`.myqcloud.com`: any host below), names, or a name with a port; the last may be
    spoken to over plain HTTP if its address is a private one and the stack allows such.
    """

    def __init__(self, allowed: Sequence[str], *, allows_private: bool, resolve: Resolve = resolve) -> None:
        self._allowed = tuple(entry.strip().lower() for entry in allowed if entry.strip())
        self._allows_private = allows_private
        self._resolve = resolve

    def aim(self, url: str) -> Target:
        """Where a link leads. Raises LinkRefused, SourceUnavailable where its host has no address now."""
        parts, host, port = _split(url)
        by_port = f"{host}:{port}" in self._allowed
        if not by_port and not self._is_allowed(host):
            raise _refused(host, "is no host where backups of this provider are kept")
        scheme = parts.scheme
        if not by_port:
            if port not in (None, 80 if scheme == "http" else _HTTPS_PORT):
                raise _refused(host, f"is not to be reached at port {port}")
            scheme, port = "https", _HTTPS_PORT  # the store answers on both, and the signature covers neither
        address = self._find_address(host, port or _HTTPS_PORT, is_plain=scheme == "http")
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return Target(scheme, host, port or _HTTPS_PORT, address, path)

    def _is_allowed(self, host: str) -> bool:
        return any(host.endswith(entry) if entry.startswith(".") else host == entry for entry in self._allowed)

    def _find_address(self, host: str, port: int, *, is_plain: bool) -> str:
        """The address to connect to, so that what was looked at is what is reached."""
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise SourceUnavailable(
                f"The host {host} of a backup file has no address.", hint="The next attempt asks again."
            )
        for address in addresses:
            if is_never_reached(address) or (is_private(address) and not self._allows_private):
                raise _refused(host, "has an address within a private network")
            if is_plain and not is_private(address):
                raise _refused(host, "would be spoken to in plain text")
        return min(addresses, key=lambda address: ":" in address)  # functions reach IPv6 only where they were given it


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise _refused("", "cannot be read") from None  # its words quote the link
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.password is not None:
        raise _refused(host, "is named in no form that a link of this provider has")
    return parts, host, port


def _refused(host: str, why: str) -> LinkRefused:
    shown = "".join(each for each in host[:200] if each.isalnum() or each in ".-:")
    return LinkRefused(
        f"A link to a backup file was not followed: its host {shown} {why}.",
        hint="Nothing was read from it. If the provider keeps backups there by now, add the host to the stack's "
        "parameter TencentFileHosts.",
    )
