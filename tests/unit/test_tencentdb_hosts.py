"""Where a link to a backup file may lead."""

from __future__ import annotations

import pytest

from rdbkeeper.domain.errors import LinkRefused, SourceUnavailable
from rdbkeeper.sources.tencentdb.hosts import DEFAULT_FILE_HOSTS, FileHosts, Target

PUBLIC = "119.28.1.1"
FILE = "https://backup-1250000000.cos.ap-guangzhou.myqcloud.com/a%2Fb.rdb?sign=s3cret"


def aim(
    url: str,
    *addresses: str,
    allowed: tuple[str, ...] = DEFAULT_FILE_HOSTS,
    allows_private: bool = False,
) -> Target:
    hosts = FileHosts(allowed, allows_private=allows_private, resolve=lambda host, port: list(addresses or (PUBLIC,)))
    return hosts.aim(url)


def test_a_link_to_the_store_leads_to_the_address_that_was_looked_at() -> None:
    target = aim(FILE)
    assert (target.scheme, target.host, target.port) == (
        "https",
        "backup-1250000000.cos.ap-guangzhou.myqcloud.com",
        443,
    )
    assert (target.address, target.path, target.authority) == (PUBLIC, "/a%2Fb.rdb?sign=s3cret", target.host)
    assert "s3cret" not in repr(target)


def test_plain_http_becomes_https() -> None:
    target = aim(FILE.replace("https:", "http:"))
    assert (target.scheme, target.port) == ("https", 443)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a",
        "https://myqcloud.com/a",
        "https://evilmyqcloud.com/a",
        "https://a.myqcloud.com.example.com/a",
        "https://a.myqcloud.com@example.com/a",
        "https://user:word@a.myqcloud.com/a",
        "https://a.myqcloud.com:8443/a",
        "http://a.myqcloud.com:443/a",
        "https://a.myqcloud.com:port/a",
        "ftp://a.myqcloud.com/a",
        "file:///etc/passwd",
        "//a.myqcloud.com/a",
        "https:///a",
        "https://[::1/a",
        "https://169.254.169.254/a",
        "",
    ],
)
def test_no_link_leads_to_any_other_host(url: str) -> None:
    with pytest.raises(LinkRefused) as refused:
        aim(url)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["10.0.0.7", "127.0.0.1", "169.254.0.55", "fd00:ec2::254", "::ffff:10.0.0.7", "100.64.0.1"]
)
def test_a_host_with_an_address_within_is_refused_even_beside_a_public_one(address: str) -> None:
    with pytest.raises(LinkRefused):
        aim(FILE, PUBLIC, address)


def test_where_the_stack_allows_private_addresses_they_are_reached_but_for_metadata() -> None:
    assert aim(FILE, "10.0.0.7", allows_private=True).address == "10.0.0.7"
    with pytest.raises(LinkRefused):
        aim(FILE, "169.254.169.254", allows_private=True)


def test_a_host_that_is_named_with_its_port_may_be_spoken_to_in_plain_text_within() -> None:
    url, allowed = "http://127.0.0.1:9000/a", ("127.0.0.1:9000",)
    target = aim(url, "127.0.0.1", allowed=allowed, allows_private=True)
    assert (target.scheme, target.port, target.authority) == ("http", 9000, "127.0.0.1:9000")
    with pytest.raises(LinkRefused):
        aim(url, "127.0.0.1", allowed=allowed)
    with pytest.raises(LinkRefused):
        aim(url, PUBLIC, allowed=allowed, allows_private=True)
    with pytest.raises(LinkRefused):
        aim("http://127.0.0.1:9001/a", "127.0.0.1", allowed=allowed, allows_private=True)


def test_a_host_without_an_address_may_have_one_later() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(SourceUnavailable):
        FileHosts(DEFAULT_FILE_HOSTS, allows_private=False, resolve=resolve).aim(FILE)


def test_ipv4_comes_first() -> None:
    assert aim(FILE, "2402:4e00::1", PUBLIC).address == PUBLIC
