"""Links into the console and lines for a shell, as a person pastes them."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest

from rdbkeeper.domain.console_links import download_lines, find_folder_link, find_object_link, verify_line
from rdbkeeper.domain.vault import VaultBinding

NOW = datetime(2026, 11, 21, tzinfo=UTC)
KEY = "redis/orders/manifests/20261120T021500Z-automatic.orders.verified.json"


def bound(**values: str) -> VaultBinding:
    return VaultBinding("offsite", "the-bucket", NOW, **values)


def at_minio() -> VaultBinding:
    return bound(endpoint="https://minio.example:9000", secret="rdbkeeper/minio")


@pytest.mark.parametrize(
    "region, host",
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_an_object_is_linked_in_the_console_of_its_partition(region: str, host: str) -> None:
    expected = f"https://{host}/s3/object/the-bucket?region={region}&bucketType=general&prefix={KEY}"
    assert find_object_link(bound(region=region), KEY) == expected


def test_a_folder_is_linked_to_what_lies_below_it() -> None:
    link = find_folder_link(bound(region="eu-west-1"), "redis/orders/")
    assert link == (
        "https://eu-west-1.console.aws.amazon.com/s3/buckets/the-bucket"
        "?region=eu-west-1&bucketType=general&prefix=redis/orders/"
    )


def test_a_key_cannot_end_the_link_or_begin_another_field() -> None:
    link = find_object_link(bound(region="eu-west-1"), 'a b&region=x#y"<é')
    assert link is not None
    assert link.endswith("&prefix=a%20b%26region%3Dx%23y%22%3C%C3%A9")


def test_other_stores_and_unknown_regions_have_no_link() -> None:
    assert find_object_link(at_minio(), KEY) is None
    assert find_folder_link(at_minio(), "") is None
    assert find_object_link(bound(), KEY) is None


def test_a_copy_is_fetched_with_its_manifest_beside_it() -> None:
    data, manifest = download_lines(bound(region="eu-west-1"), "redis/orders/c-1/", KEY, "c-1")
    assert data == "aws s3 cp --recursive s3://the-bucket/redis/orders/c-1/ c-1/ --region eu-west-1"
    assert manifest == f"aws s3 cp s3://the-bucket/{KEY} manifests/ --region eu-west-1"


def test_lines_for_another_store_name_its_endpoint() -> None:
    line = verify_line(at_minio(), KEY)
    assert line == (f"python -m rdbkeeper.verify s3://the-bucket/{KEY} --endpoint-url https://minio.example:9000")


def test_a_name_cannot_become_a_command() -> None:
    hostile = "c-1; rm -rf $HOME 'x'/"
    line = download_lines(bound(region="eu-west-1"), hostile, KEY, hostile)[0]
    assert shlex.split(line)[4:6] == [f"s3://the-bucket/{hostile}", f"{hostile}/"]
