"""The Resource Groups Tagging API: which functions and alarms carry which tags, in pages, as strict as the service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi.exceptions import ResourceGroupsTaggingAPIError
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse

from tests.local_cloud.paging import BadTokenError, cut_page

_MOST_RESOURCES = 100
_DEFAULT_RESOURCES = 50
_TYPE = re.compile(r"[a-z0-9-]+(:[A-Za-z0-9-]+)?")
_KNOWN = {"PaginationToken", "ResourceARNList", "ResourceTypeFilters", "ResourcesPerPage", "TagFilters"}


class TaggingService(ResourceGroupsTaggingAPIResponse):
    """The operation that finds resources; moto's others stay as they are."""

    def get_resources(self) -> ActionResult:
        asked = {name: value for name, value in dict(self.params).items() if value is not None}
        _check(asked)
        found = sorted(
            self.backend._get_resources_generator(
                tag_filters=asked.get("TagFilters"),
                resource_type_filters=asked.get("ResourceTypeFilters"),
                resource_arn_list=asked.get("ResourceARNList"),
            ),
            key=lambda resource: resource.arn,
        )
        try:
            page = cut_page(found, asked.get("PaginationToken"), asked.get("ResourcesPerPage", _DEFAULT_RESOURCES))
        except BadTokenError as error:
            raise ResourceGroupsTaggingAPIError("PaginationTokenExpiredException", str(error)) from error
        mappings = [
            {"ResourceARN": one.arn, "Tags": [{"Key": key, "Value": value} for key, value in one.tags.items()]}
            for one in page.items
        ]
        # The service's last page has an empty token, not none.
        return ActionResult({"ResourceTagMappingList": mappings, "PaginationToken": page.next_token or ""})


def _check(asked: Mapping[str, Any]) -> None:
    others = sorted(set(asked) - _KNOWN)
    if others:
        raise _refusal(f"The local cloud finds no resources by {', '.join(others)}.")
    excluded = sorted(set(asked) & (_KNOWN - {"ResourceARNList"}))
    if "ResourceARNList" in asked and excluded:
        raise _refusal(f"ResourceARNList cannot be given together with {', '.join(excluded)}.")
    size = asked.get("ResourcesPerPage", _DEFAULT_RESOURCES)
    if not 1 <= size <= _MOST_RESOURCES:
        raise _refusal(f"ResourcesPerPage is {size}; 1 to {_MOST_RESOURCES} can be.")
    _check_filters(asked.get("TagFilters") or ())
    for kind in asked.get("ResourceTypeFilters") or ():
        if not _TYPE.fullmatch(kind):
            raise _refusal(f"ResourceTypeFilters: {kind!r} is not of the form service or service:type.")


def _check_filters(filters: Sequence[Mapping[str, Any]]) -> None:
    if len(filters) > 50:
        raise _refusal("TagFilters: at most 50 can be given.")
    for one in filters:
        if not one.get("Key") or len(one.get("Values") or ()) > 20:
            raise _refusal("TagFilters: each has a key, and at most 20 values.")


def _refusal(message: str) -> ResourceGroupsTaggingAPIError:
    return ResourceGroupsTaggingAPIError("InvalidParameterException", message)
