"""Which links are followed: AWS's own hosts over https, and the very host at which the service was reached."""

from __future__ import annotations

import pytest

from rdbkeeper.aws.hosts import is_trusted

ENDPOINT = "https://lambda.us-east-1.amazonaws.com"
LOCAL = "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    "link",
    [
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/x?Signature=y",
        "https://bucket.s3.eu-central-1.amazonaws.com/x",
        "https://bucket.s3.cn-north-1.amazonaws.com.cn/x",
        "https://bucket.s3.eusc-de-east-1.amazonaws.eu/x",
        "HTTPS://BUCKET.S3.AMAZONAWS.COM/x",
        "https://bucket.s3.amazonaws.com:443/x",
    ],
)
def test_aws_itself_is_trusted(link: str) -> None:
    assert is_trusted(link, ENDPOINT)


@pytest.mark.parametrize(
    "link",
    [
        "http://bucket.s3.amazonaws.com/x",
        "https://amazonaws.com.example.org/x",
        "https://example.org/x.amazonaws.com",
        "https://example.org/?.amazonaws.com",
        "https://example.org/#.amazonaws.com",
        "https://notamazonaws.com/x",
        "https://user@example.org/x",
        "https://bucket.s3.amazonaws.com@example.org/x",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:4566/x",
        "file:///etc/passwd",
        "ftp://bucket.s3.amazonaws.com/x",
        "//bucket.s3.amazonaws.com/x",
        "bucket.s3.amazonaws.com/x",
        "https://",
        "https://[",
        "https://x.amazonaws.com:port/",
        "not a link",
        "",
    ],
)
def test_nobody_else_is(link: str) -> None:
    assert not is_trusted(link, ENDPOINT)


@pytest.mark.parametrize("trick", ["https://example.org\\@x.amazonaws.com/", "https://example.org\\.amazonaws.com/"])
def test_a_link_that_two_parsers_read_differently_is_read_as_the_one_that_asks_does(trick: str) -> None:
    assert not is_trusted(trick, ENDPOINT)


def test_the_host_at_which_the_service_was_reached_is_trusted_by_scheme_and_port() -> None:
    assert is_trusted(f"{LOCAL}/x?Signature=y", LOCAL)
    assert not is_trusted("http://127.0.0.1:4567/x", LOCAL)
    assert not is_trusted("https://127.0.0.1:4566/x", LOCAL)
    assert not is_trusted("http://127.0.0.1/x", LOCAL)
    assert not is_trusted("", "")
