"""Tags of one service's resources, by ARN."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tests.local_cloud.managed.errors import ServiceError

MOST_TAGS = 50


class Tags:
    """What is tagged how. invalid: the service's code for a value that it does not take."""

    def __init__(self, invalid: str) -> None:
        self._invalid = invalid
        self._tags: dict[str, dict[str, str]] = {}

    def add(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        """Add tags to a resource. Raises TagQuotaPerResourceExceeded beyond 50, or the code for a bad value."""
        added: dict[str, str] = {}
        for tag in tags:
            key, value = tag.get("Key", ""), tag.get("Value", "")
            if not re.fullmatch(r".{1,128}", key) or len(value) > 256 or key.lower().startswith("aws:"):
                raise ServiceError(self._invalid, f"The tag {dict(tag)!r} has a bad key or value.")
            added[key] = value
        merged = self._tags.get(arn, {}) | added
        if len(merged) > MOST_TAGS:
            raise ServiceError("TagQuotaPerResourceExceeded", f"A resource has at most {MOST_TAGS} tags.")
        self._tags[arn] = merged

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags from a resource; one that it does not have is passed over."""
        gone = set(keys)
        self._tags[arn] = {key: value for key, value in self.of(arn).items() if key not in gone}

    def forget(self, arn: str) -> None:
        """Remove all tags of a resource that is no more."""
        self._tags.pop(arn, None)

    def of(self, arn: str) -> dict[str, str]:
        """Return a resource's tags by key; empty if it has none, or does not exist."""
        return dict(self._tags.get(arn, {}))

    def listed(self, arn: str) -> list[dict[str, str]]:
        """Return a resource's tags as the services list them."""
        return [{"Key": key, "Value": value} for key, value in self.of(arn).items()]
