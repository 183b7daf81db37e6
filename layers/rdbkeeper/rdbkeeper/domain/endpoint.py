"""The address of a store that is not Amazon's: what is one, and when two are the same."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

# RFC 1123; some clients take no underscore in it, and the dot at the end says that the name is whole.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?!.{{254}}){_LABEL}(?:\.{_LABEL})*\.?")


def is_endpoint(endpoint: str) -> bool:
    """True for `https://HOST` or `http://HOST`, with a port or without."""
    try:
        parts = urlsplit(endpoint)
        has_port = parts.port is None or parts.port > 0
    except ValueError:  # brackets without an address in them, or a port that is no number
        return False
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password or parts.path.strip("/"))
    # Blanks and line ends are looked for before urlsplit drops them.
    is_written_well = endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
    host = parts.hostname or ""
    is_host = _HOST_NAME.fullmatch(host) is not None or _find_literal(host) is not None
    return parts.scheme in ("https", "http") and is_host and has_port and is_plain and is_written_well


def host_of(endpoint: str) -> str:
    """The host and port of an endpoint, in one way of writing them; ":" for none."""
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").removesuffix(".")  # the dot says that the name is whole, and is the same host
    host = str(_find_literal(host) or host)
    return f"{host}:{parts.port or {'https': 443, 'http': 80}.get(parts.scheme, '')}"


def _find_literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is written as, without a zone; the IPv4 address where it carries one within."""
    if "%" in host:
        return None
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return found if isinstance(found, ipaddress.IPv4Address) else found.ipv4_mapped or found
