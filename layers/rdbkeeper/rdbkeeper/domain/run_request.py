"""What a run is asked to do: by its timer, by a person, or by the run before it in its chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

# A chain that never ends would be billed for ever, and Lambda ends a loop of its functions after about 16 rounds
# ("Use Lambda recursive loop detection to prevent infinite loops").
MOST_HAND_OVERS = 10


@dataclass(frozen=True)
class RunRequest:
    """One wish for a run.

    `on_request` is True where a person or reconciling wants it, which a paused rule heeds as well. `chain` names the
    first run of a chain, "" in that one itself; the runs of a chain share their exports. `hand_overs` counts the runs
    before this one in its chain, and `tried` holds the ids of the copies that they tried and did not make. With
    `audits` the run reads copies again and copies nothing, at most `most_gigabytes` (10^9 bytes) of them; 0 is as many
    as is usual. With `backs_up` the run asks for a backup first, whatever its rule says. `scheduled_at` is when
    a timer's run was due, as Scheduler writes it; "" for the others. One that is `owed` was started by reconciling, for
    a run that was put off, denied something or missed: nobody has chosen its hour.
    """

    on_request: bool = False
    chain: str = ""
    hand_overs: int = 0
    tried: tuple[str, ...] = ()
    audits: bool = False
    most_gigabytes: int = 0
    backs_up: bool = False
    scheduled_at: str = ""
    owed: bool = False

    @property
    def may_hand_over(self) -> bool:
        return self.hand_overs < MOST_HAND_OVERS

    def successor(self, chain: str, tried: tuple[str, ...]) -> RunRequest:
        """The wish for the run after this one, which is to take what was left and not what was tried in vain."""
        return replace(
            self,
            chain=self.chain or chain,
            hand_overs=self.hand_overs + 1,
            backs_up=False,
            tried=tuple(dict.fromkeys((*self.tried, *tried))),
        )

    def as_record(self) -> dict[str, Any]:
        asked = {"audits": True, "most_gigabytes": self.most_gigabytes} if self.audits else {}
        asked |= {"backs_up": True} if self.backs_up else {}
        asked |= {"owed": True} if self.owed else {}
        return {
            "requested": self.on_request,
            "chain": self.chain,
            "hand_overs": self.hand_overs,
            "tried": list(self.tried),
            **asked,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RunRequest:
        """The wish in an event; what a timer's or a person's event does not say is left at its default.

        Raises ValueError for what no run has written.
        """
        hand_overs, tried = int(record.get("hand_overs", 0)), record.get("tried", [])
        most_gigabytes = int(record.get("most_gigabytes", 0))
        if most_gigabytes < 0:
            raise ValueError(f"most_gigabytes is {most_gigabytes}")
        if hand_overs < 0 or not isinstance(tried, list):
            raise ValueError(f"hand_overs is {hand_overs}, tried is a {type(tried).__name__}")
        return cls(
            on_request=record.get("requested") is True,
            chain=str(record.get("chain", "")),
            hand_overs=hand_overs,
            tried=tuple(str(copy_id) for copy_id in tried),
            audits=record.get("audits") is True,
            most_gigabytes=most_gigabytes,
            backs_up=record.get("backs_up") is True,
            scheduled_at=str(record.get("scheduled_at", "")),
            owed=record.get("owed") is True,
        )
