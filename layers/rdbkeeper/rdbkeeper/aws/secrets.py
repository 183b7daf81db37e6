"""Key pairs of vaults and sources, and servers' users, from Secrets Manager.

What a secret holds is in no error, log line or answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from rdbkeeper.aws.errors import Family, translated
from rdbkeeper.domain.errors import (
    RdbkeeperError,
    SourceDenied,
    SourceRefused,
    SourceUnavailable,
    VaultDenied,
    VaultRefused,
    VaultUnavailable,
)

_MEMBERS = ("access_key_id", "secret_access_key")
_SHAPE = 'Its value is to be JSON: {"access_key_id": "...", "secret_access_key": "..."}, each of printable ASCII.'
_API_KEY_SHAPE = (
    'Its value is to be JSON: {"secret_id": "...", "secret_key": "..."}, each of printable ASCII; with a temporary key '
    'also "token".'
)
_LOGIN_SHAPE = 'Its value is to be JSON: {"username": "...", "password": "..."}; leave out what the server has none of.'
# What can stand in the header that signs a request; anything else would be refused with the key in the text.
_KEY = re.compile(r"[!-~]{1,256}")
_TOKEN = re.compile(r"[!-~]{1,4096}")
_KEY_HINT = "The secret's KMS key is disabled, or this function's role may not use it: allow kms:Decrypt on it."


def _family(denied: type[RdbkeeperError], unavailable: type[RdbkeeperError], refused: type[RdbkeeperError]) -> Family:
    """How errors of "GetSecretValue" (Secrets Manager API reference) are told to whom needed the secret."""
    return Family(
        denied,
        unavailable,
        refused,
        special={
            "ResourceNotFoundException": (refused, "Make the secret, in this stack's region, or name another one."),
            "AccessDeniedException": (denied, "Allow secretsmanager:GetSecretValue on it to this function's role."),
            "DecryptionFailure": (denied, _KEY_HINT),
            "InvalidRequestException": (refused, "The secret is being deleted: restore it, or name another one."),
        },
    )


_OF_VAULTS = _family(VaultDenied, VaultUnavailable, VaultRefused)
_OF_SOURCES = _family(SourceDenied, SourceUnavailable, SourceRefused)


class KeyPair(NamedTuple):
    """The access keys of a user of a store. Never to be shown."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return "KeyPair(...)"


class ApiKey(NamedTuple):
    """The key with which calls to Tencent Cloud are signed; a temporary one has a token. Never to be shown."""

    secret_id: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        return "ApiKey(...)"


class Login(NamedTuple):
    """Who logs in to a server, and how; "" is left to the server. Never to be shown."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return "Login(...)"


def read_key_pair(client: Any, name: str) -> KeyPair:
    """The key pair in the secret of that name. Raises VaultDenied, VaultRefused, VaultUnavailable."""
    values = _read(client, name, _OF_VAULTS)
    pair = [found for member in _MEMBERS if (found := _find(values, member, _KEY))]
    if len(pair) < len(_MEMBERS):
        # Without `from`: a JSON error carries the text that it was made of.
        raise VaultRefused(f"The secret {name} holds no key pair.", hint=_SHAPE)
    return KeyPair(*pair)


@contextmanager
def _pointing_at_secret() -> Iterator[None]:
    """Have errors that a person can mend name the field that names the secret."""
    try:
        yield
    except (SourceDenied, SourceRefused) as error:
        error.field = "secret"
        raise


@_pointing_at_secret()
def read_api_key(client: Any, name: str) -> ApiKey:
    """The key for Tencent Cloud in the secret of that name. Raises SourceDenied, SourceRefused, SourceUnavailable."""
    values = _read(client, name, _OF_SOURCES)
    secret_id, secret_key = _find(values, "secret_id", _KEY), _find(values, "secret_key", _KEY)
    token = _find(values, "token", _TOKEN)
    if not secret_id or not secret_key or (values.get("token") and not token):
        raise SourceRefused(f"The secret {name} holds no key for Tencent Cloud.", hint=_API_KEY_SHAPE)
    return ApiKey(secret_id, secret_key, token)


@_pointing_at_secret()
def read_login(client: Any, name: str) -> Login:
    """The user in the secret of that name, as it is, spaces and all. Raises as read_api_key does."""
    values = _read(client, name, _OF_SOURCES)
    found = [values.get(member, "") for member in Login._fields]
    if not any(found) or not all(isinstance(value, str) for value in found):
        raise SourceRefused(f"The secret {name} holds neither a user nor a password.", hint=_LOGIN_SHAPE)
    return Login(*found)


def _read(client: Any, name: str, family: Family) -> Mapping[str, Any]:
    """The members of the object in a secret; none where it holds no JSON object."""
    with translated(family, f"Reading the secret {name}"):
        text = client.get_secret_value(SecretId=name).get("SecretString") or ""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {}


def _find(values: Mapping[str, Any], member: str, form: re.Pattern[str]) -> str:
    """A member's text without the white space around it; "" unless it has that form."""
    value = values.get(member)
    text = value.strip() if isinstance(value, str) else ""
    return text if form.fullmatch(text) else ""
