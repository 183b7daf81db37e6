"""What a request needs to be allowed: the tables' common parts.

A table has one function an operation: from its parameters to the actions and resources that the service authorises.
Where a page is named in a comment, it is of the service's own documentation; "the reference" is the Service
Authorization Reference, "Actions, resources, and condition keys for" the service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.local_cloud.permissions.conditions import Context
from tests.local_cloud.permissions.policy import Need

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """The account and the region that a request is for."""

    account_id: str
    region: str

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource here."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"


Table = Mapping[str, Callable[[Parameters, Place], Iterable[Need]]]


def pass_role(role_arn: str, service: str) -> Need:
    """Return the need to give a role to a service ("Grant a user permissions to pass a role to an AWS service")."""
    return Need("iam:PassRole", role_arn, {"iam:passedtoservice": (f"{service}.amazonaws.com",)})


def tag_context(tags: Mapping[str, str]) -> Context:
    """Return what conditions may look at when a request sets tags."""
    named = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return {**named, "aws:tagkeys": tuple(tags)} if tags else {}
