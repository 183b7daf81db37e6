"""Reads what a request says about a vault: the whole of it, or an edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.vault import LONGEST_LOCK_DAYS, Addressing, LockMode, VaultBinding, VaultOptions
from rdbkeeper.domain.vault_edit import VaultEdit
from rdbkeeper.entry.json_object import JsonObject
from rdbkeeper.entry.request_fields import read_vault_name

_Choice = TypeVar("_Choice", bound=StrEnum)
_Made = TypeVar("_Made")
# "AWS service endpoints": Amazon S3 in every partition.
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu")


def read_binding(given: JsonObject, now: datetime) -> VaultBinding:
    """A vault that does not exist yet."""
    name, bucket = read_vault_name(given), given.text("bucket")
    endpoint = given.text("endpoint", "")
    _check_is_not_amazon(endpoint)
    options = _read_options(given)
    # What S3-compatible stores understand without a name of each bucket in the DNS is its name in the path.
    usual = Addressing.PATH if endpoint else Addressing.VIRTUAL
    return VaultBinding(
        name=name,
        bucket=bucket,
        created_at=now.replace(microsecond=0),
        region=given.text("region", ""),
        role=given.text("role", ""),
        external_id=given.text("external_id", ""),
        endpoint=endpoint,
        addressing=_one_of(Addressing, given, "addressing", usual),
        secret=given.text("secret", ""),
        options=_within("options", lambda: VaultOptions(**options)),
        note=given.text("note", ""),
    )


def read_vault_edit(given: JsonObject) -> VaultEdit:
    """What an edit says; what it leaves out stays as it is."""
    for name in ("bucket", "endpoint", "region", "addressing"):
        if given.has(name):
            raise InvalidRequest(
                f"A vault's {name} cannot change: the copies of its rules lie there.",
                field=name,
                hint="Bind another vault, and point rules at it with `update`; copies made so far stay.",
            )
    texts = ("note", "role", "external_id", "secret")
    said = {name: given.text(name) for name in texts if given.has(name)}
    options = _read_options(given)
    _within("options", lambda: VaultOptions(**options))
    return VaultEdit(**said, options=options)


def _read_options(given: JsonObject) -> Mapping[str, Any]:
    """Those of VaultOptions' fields that are said."""
    if not given.has("options"):
        return {}
    options = given.child("options")
    said: dict[str, Any] = {name: options.text(name) for name in ("kms_key", "storage_class") if options.has(name)}
    if options.has("lock_mode"):
        said["lock_mode"] = _one_of(LockMode, options, "lock_mode", LockMode.GOVERNANCE, "options.")
    if options.has("lock_days"):
        said["lock_days"] = options.number("lock_days", 0, LONGEST_LOCK_DAYS)
    if options.has("tags"):
        said["tags"] = options.child("tags").all_texts()
    options.refuse_the_rest()
    return said


def _one_of(choices: type[_Choice], given: JsonObject, name: str, usual: _Choice, path: str = "") -> _Choice:
    text = given.text(name, usual.value)
    if text not in list(choices):
        raise InvalidRequest(
            f"The field {path}{name} is {text[:80]!r}.",
            field=f"{path}{name}",
            hint=f"Write {' or '.join(choices)}, or leave it out.",
        )
    return choices(text)


def _within(path: str, make: Callable[[], _Made]) -> _Made:
    """What `make` makes; a field that it refuses is named from the request's root on."""
    try:
        return make()
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field=f"{path}.{error.field}", hint=error.hint) from error


def _check_is_not_amazon(endpoint: str) -> None:
    """Raise InvalidRequest for Amazon's own: its buckets are known by their names, and no two vaults are one bucket."""
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError as error:  # an address in brackets that is none
        raise InvalidRequest(
            "This is not the address of a store.", field="endpoint", hint="Write https://HOST or https://HOST:PORT."
        ) from error
    if host.rstrip(".").endswith(_AMAZON):
        raise InvalidRequest(
            "Amazon S3 is reached without an endpoint.",
            field="endpoint",
            hint="Leave it out, and name a `role` where the bucket is another account's.",
        )
