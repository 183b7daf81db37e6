"""The log groups of the rules: each is its rule's history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rdbkeeper.aws.errors import tolerated, translated
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.domain.fleet.settings import FleetSettings
from rdbkeeper.ports import Record


class LogGroups:
    """The fleet's log groups over a client of CloudWatch Logs."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings

    def list(self) -> dict[str, int]:
        """Every log group under one of the rules' names: its retention in days, 0 where logs never expire."""
        with translated(FAMILY, f"Listing the log groups of the stack {self._settings.stack}"):
            return {group["logGroupName"]: _retention(group) for group in self._groups(self._settings.log_group(""))}

    def find(self, rule_name: str) -> dict[str, int]:
        """The rule's log group in the same form, or nothing."""
        name = self._settings.log_group(rule_name)
        with translated(FAMILY, f"Looking for the log group {name}"):
            # They come in order of their names, so one that is exactly the prefix comes first.
            first = next(self._groups(name), None)
        return {name: _retention(first)} if first and first["logGroupName"] == name else {}

    def keep(self, rule_name: str) -> None:
        """Make the rule's log group, or take the one that an earlier rule of that name left; set its retention."""
        name = self._settings.log_group(rule_name)
        logs = self._client("logs")
        with translated(FAMILY, f"Making the log group {name}"):
            with tolerated("ResourceAlreadyExistsException"):
                logs.create_log_group(logGroupName=name, tags=self._settings.tags(rule_name))
            logs.put_retention_policy(logGroupName=name, retentionInDays=self._settings.log_retention_days)

    def _groups(self, prefix: str) -> Iterator[Record]:
        pages = self._client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
        return (group for page in pages for group in page["logGroups"])


def _retention(group: Record) -> int:
    return int(group.get("retentionInDays", 0))
