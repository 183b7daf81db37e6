"""Fields that several requests have, each read in one way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rdbkeeper.domain.errors import InvalidRequest, RdbkeeperError
from rdbkeeper.domain.rule import check_name
from rdbkeeper.domain.source import LIVE_PROVIDER, PROVIDERS, SourceAccess, check_access, check_provider
from rdbkeeper.domain.vault import check_vault_name
from rdbkeeper.entry.json_object import JsonObject

LARGEST_PAGE = 200
# With a rule's name of 31 characters it fits into an execution's name ("Invoke" in the Lambda API reference: 64).
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_LONGEST_PAGE_MARK = 512  # a run's is its time and its id; DynamoDB takes keys of up to 1,024 bytes


RULE = "rule"
# How a source is reached may be said by a rule or by a request that lists; what finds it wrong does not know which.
_OF_SOURCES = ("region", "secret")


@contextmanager
def about_rule(*others: str) -> Iterator[None]:
    """Have errors name the fields of a request's `rule` as they stand in the request; `others` stand beside it."""
    try:
        yield
    except RdbkeeperError as error:
        error.field = name_in_request(error.field, *others)
        raise


def name_in_request(field: str, *others: str) -> str:
    """A field of a rule as it stands in a request with a `rule`; those that stand there so already stay."""
    if not field or field.partition(".")[0] in (RULE, *others):
        return field
    return f"{RULE}.source.{field}" if field in _OF_SOURCES else f"{RULE}.{field}"


def read_rule_name(request: JsonObject) -> str:
    """The name of a rule."""
    name = request.text("name")
    check_name(name)
    return name


def read_vault_name(request: JsonObject) -> str:
    """The name of a vault."""
    name = request.text("name")
    check_vault_name(name)
    return name


def read_revision(request: JsonObject) -> int:
    """The revision at which a person read what is to be edited."""
    return request.number("revision", 1, 10**9)


def read_listing(request: JsonObject) -> tuple[str, SourceAccess]:
    """A provider whose instances and backups can be listed, and how it is reached."""
    provider = request.text("provider", PROVIDERS[0])
    check_provider(provider, "provider")
    if provider == LIVE_PROVIDER:
        raise InvalidRequest(
            f"There is nothing to list of {LIVE_PROVIDER}: its servers are named by their addresses.",
            field="provider",
            hint="Create a rule with `source.address`; its runs take backups of their own.",
        )
    access = SourceAccess(region=request.text("region", ""), secret=request.text("secret", ""))
    check_access(provider, access, "")
    return provider, access


def read_request_id(request: JsonObject) -> str:
    """What makes a request the same as another; "" where it says nothing."""
    request_id = request.text("request_id", "")
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise InvalidRequest(
            f"The field request_id is {request_id[:80]!r}.",
            field="request_id",
            hint="Write up to 32 letters, digits, `-` and `_`; the same again means the same request.",
        )
    return request_id


def read_page_mark(request: JsonObject, name: str) -> str:
    """Where a page begins; "" for the first."""
    mark = request.text(name, "")
    if len(mark) > _LONGEST_PAGE_MARK or not (mark.isascii() and mark.isprintable()):
        raise InvalidRequest(
            f"The field {name} is {mark[:80]!r}, which no page said.",
            field=name,
            hint=f"Pass on what the last page said as `next_{name}`, or leave it out to begin at the first.",
        )
    return mark
