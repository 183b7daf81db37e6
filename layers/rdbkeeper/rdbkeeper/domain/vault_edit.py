"""What an edit says of a vault. Where it is, its bucket and endpoint, cannot change: its copies lie there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rdbkeeper.domain.errors import InvalidRequest
from rdbkeeper.domain.vault import DEFAULT_VAULT, VaultBinding


@dataclass(frozen=True)
class VaultEdit:
    """None where it says nothing; `options` holds those of VaultOptions' fields that change."""

    note: str | None = None
    role: str | None = None
    external_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)

    def apply_to(self, binding: VaultBinding) -> VaultBinding:
        """The vault as edited, at its next revision; the vault itself where the edit changes nothing.

        Raises InvalidRequest, naming the field, where the result would be no vault.
        """
        said = {name: value for name, value in vars(self).items() if value is not None and name != "options"}
        if binding.name == DEFAULT_VAULT:
            _check_is_no_credential(said)
        if self.role == "":
            said.setdefault("external_id", "")  # it goes with a role alone
        options = replace(binding.options, **self.options)
        if replace(binding, **said, options=options) == binding:
            return binding
        return replace(binding, **said, options=options, revision=binding.revision + 1)


def needs_probe(before: VaultBinding, after: VaultBinding) -> bool:
    """True when the edit may have changed whether the vault can be used: anything but its note."""
    return replace(after, note=before.note, revision=before.revision) != before


def _check_is_no_credential(said: Mapping[str, str]) -> None:
    wrong = next((name for name in ("role", "external_id", "secret") if said.get(name)), None)
    if wrong is not None:
        raise InvalidRequest(
            "The default vault is the stack's own bucket, which is reached by its functions' roles.",
            field=wrong,
            hint="Leave the field out; for another bucket bind a vault of its own.",
        )
