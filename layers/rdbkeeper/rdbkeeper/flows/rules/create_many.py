"""Makes many rules side by side, each for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from rdbkeeper.domain.errors import OutOfTime, RdbkeeperError
from rdbkeeper.domain.rule import Rule
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import Record

# Making functions is waiting for Lambda; more at once would meet its 15 control-plane requests a second.
MADE_AT_ONCE = 4
# Making one function took less than this wherever it was tried; nothing is begun that might not end in time.
RESERVE_S = 120.0

_Begun = TypeVar("_Begun")
Wanted = Sequence[tuple[str, Rule | RdbkeeperError]]
"""Rules by name, or what keeps one from being a rule."""


def create_each(
    context: RulesContext,
    wanted: Wanted,
    begin: Callable[[Rule], _Begun],
    make: Callable[[_Begun], Record],
    is_time_left: Callable[[], bool],
) -> list[Record]:
    """What became of each wanted rule, in their order: what `make` answered, or the error that it met."""
    one_at_a_time = Lock()  # places are taken one after the other; what takes time, the making, runs side by side

    def create(item: tuple[str, Rule | RdbkeeperError]) -> Record:
        name, rule = item
        try:
            if isinstance(rule, RdbkeeperError):
                raise rule
            if not is_time_left():
                raise OutOfTime(
                    f"The rule {name} was not begun, because making the others took too long.",
                    hint="Send the same request again: what was made stays, and it goes on with the rest. Or give "
                    "it a longer `wait_s`, and a caller that waits as long.",
                )
            with one_at_a_time:
                begun = begin(rule)
            return {"name": name, **make(begun)}
        except RdbkeeperError as error:
            return {"name": name, "error": error.as_answer()}
        except Exception as error:  # noqa: BLE001 - a defect that one rule brings out must not hide the others
            defect = report_defect(context.journal.bind(rule=name), f"Making {name}", error)
            return {"name": name, "error": defect.as_answer()}

    with ThreadPoolExecutor(MADE_AT_ONCE) as workers:
        return list(workers.map(create, wanted))
