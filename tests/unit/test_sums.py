"""Sums of parts, put together."""

from __future__ import annotations

import hashlib

import pytest

from rdbkeeper.domain.sums import composite_etag


def tag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def test_the_tag_of_an_object_follows_from_those_of_its_parts() -> None:
    # What md5sum says of the two parts' MD5s behind each other: an independent reckoning.
    assert composite_etag([tag(b"a"), tag(b"b")]) == '"96e024ba2074fe77e8e965ba43a704be-2"'


def test_the_order_of_the_parts_matters_and_one_part_is_a_part_too() -> None:
    assert composite_etag([tag(b"a"), tag(b"b")]) != composite_etag([tag(b"b"), tag(b"a")])
    assert composite_etag([tag(b"a")]).endswith('-1"')


@pytest.mark.parametrize("other", ['"0123-2"', '"0123"', '"not-hexadecimal"', ""])
def test_a_tag_that_is_no_md5_proves_nothing(other: str) -> None:
    with pytest.raises(ValueError, match=r"MD5|hexadecimal"):
        composite_etag([tag(b"a"), other])
