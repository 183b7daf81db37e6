"""Key pairs of vaults, from Secrets Manager. What a secret holds is in no error, log line or answer."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from rdbkeeper.aws.errors import Family, translated
from rdbkeeper.domain.errors import VaultDenied, VaultRefused, VaultUnavailable

_MEMBERS = ("access_key_id", "secret_access_key")
_SHAPE = 'Its value is to be JSON: {"access_key_id": "...", "secret_access_key": "..."}, each of printable ASCII.'
# What can stand in the header that signs a request; anything else would be refused with the key in the text.
_KEY = re.compile(r"[!-~]{1,256}")
_KEY_HINT = "The secret's KMS key is disabled, or this function's role may not use it: allow kms:Decrypt on it."
# "GetSecretValue", Secrets Manager API reference.
_FAMILY = Family(
    VaultDenied,
    VaultUnavailable,
    VaultRefused,
    special={
        "ResourceNotFoundException": (VaultRefused, "Make the secret, in this stack's region, or name another one."),
        "AccessDeniedException": (VaultDenied, "Allow secretsmanager:GetSecretValue on it to this function's role."),
        "DecryptionFailure": (VaultDenied, _KEY_HINT),
        "InvalidRequestException": (VaultRefused, "The secret is being deleted: restore it, or name another one."),
    },
)


class KeyPair(NamedTuple):
    """The access keys of a user of a store. Never to be shown."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return "KeyPair(...)"


def read_key_pair(client: Any, name: str) -> KeyPair:
    """The key pair in the secret of that name. Raises VaultDenied, VaultRefused, VaultUnavailable."""
    with translated(_FAMILY, f"Reading the secret {name}"):
        text = client.get_secret_value(SecretId=name).get("SecretString") or ""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    found = [values.get(member) for member in _MEMBERS] if isinstance(values, dict) else []
    pair = [value.strip() for value in found if isinstance(value, str) and _KEY.fullmatch(value.strip())]
    if len(pair) < len(_MEMBERS):
        # Without `from`: a JSON error carries the text that it was made of.
        raise VaultRefused(f"The secret {name} holds no key pair.", hint=_SHAPE)
    return KeyPair(*pair)
