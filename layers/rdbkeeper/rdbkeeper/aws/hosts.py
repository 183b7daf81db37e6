"""Which hosts a link that a service handed out may name."""

from __future__ import annotations

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")


def is_trusted(link: str, endpoint: str) -> bool:
    """True for AWS's own hosts over https, and for the host at which the service itself was reached."""
    try:
        # Read as urllib3 will read it when it asks: another parser may see another host in the same text.
        parts, own = parse_url(link), parse_url(endpoint)
    except LocationParseError:
        return False
    is_aws = parts.scheme == "https" and (parts.host or "").endswith(_AWS_HOSTS)
    return is_aws or (bool(parts.host) and (parts.scheme, parts.netloc) == (own.scheme, own.netloc))
