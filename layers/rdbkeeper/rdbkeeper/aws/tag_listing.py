"""Whose a function or an alarm is, by tags: for a whole stack in pages.

The listing follows changes after a while only ("GetResources" in the Resource Groups Tagging API reference shows what
is and what was tagged), so what it does not name has to be asked itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rdbkeeper.aws.errors import translated
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.domain.fleet.settings import STACK_TAG, FleetSettings

_FUNCTION, _ALARM = "lambda:function", "cloudwatch:alarm"
_MOST_A_PAGE = 100


@dataclass(frozen=True)
class Owners:
    """The rules by name of what was made for them; what carries the stack's tag and no rule's is left out."""

    functions: Mapping[str, str]
    alarms: Mapping[str, str]


def list_owners(client: Callable[[str], Any], settings: FleetSettings) -> Owners:
    """The functions and alarms that carry the stack's tags."""
    found: dict[str, dict[str, str]] = {"lambda": {}, "cloudwatch": {}}
    with translated(FAMILY, f"Listing what carries the tags of the stack {settings.stack}"):
        pages = client("resourcegroupstaggingapi").get_paginator("get_resources")
        for page in pages.paginate(
            TagFilters=[{"Key": STACK_TAG, "Values": [settings.stack]}],
            ResourceTypeFilters=[_FUNCTION, _ALARM],
            PaginationConfig={"PageSize": _MOST_A_PAGE},
        ):
            for resource in page["ResourceTagMappingList"]:
                # arn:partition:service:region:account:kind:name
                _, _, service, _, _, _, name = resource["ResourceARN"].split(":", 6)
                rule = settings.find_rule(tags_of_list(resource["Tags"]))
                if rule is not None:
                    found[service][name] = rule
    return Owners(found["lambda"], found["cloudwatch"])


def tags_of_list(tags: list[dict[str, str]]) -> dict[str, str]:
    """Tags as most services write them, as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in tags}
