"""Every request, disturbed at every call that it makes: it converges when it is repeated, and when it is reconciled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rdbkeeper.domain.errors import RdbkeeperError
from tests.fakes.faults import Faults, FaultyPort
from tests.flows.desk import Desk, Through, directly
from tests.flows.disturbances import Killed, Meanwhile, count_calls, outage_from, unavailable
from tests.flows.order import disorders, picture, steady
from tests.flows.requests import AS_CREATED, REQUESTS, Request

FROM_PEOPLE = [name for name in REQUESTS if not name.startswith("reconcile")]


@pytest.mark.parametrize("name", REQUESTS)
def test_a_disturbed_request_that_is_repeated_ends_like_one_that_was_not_disturbed(name: str) -> None:
    request = REQUESTS[name]
    healthy = request.world()
    answer = request.send(healthy, directly, AS_CREATED)
    end = picture(healthy)
    wrong = []
    for what, through in _disturbances(request):
        desk = request.world()
        _send(request, desk, through)
        again = request.repeat(desk)
        wrong += [f"{what}: ends as {picture(desk)}"] if picture(desk) != end else []
        if name in FROM_PEOPLE:  # what reconciling answers depends on what was left for it
            wrong += [f"{what}: it answers {again}"] if steady(again) != steady(answer) else []
            wrong += [f"{what}: {disorder}" for disorder in disorders(desk, old_versions=True)]
    assert wrong == []


@pytest.mark.parametrize("name", REQUESTS)
def test_a_disturbed_request_is_finished_or_undone_by_reconciling_which_then_finds_nothing_more(name: str) -> None:
    request = REQUESTS[name]
    before, healthy = request.world(), request.world()
    request.send(healthy, directly, AS_CREATED)
    ends = [picture(before), picture(healthy)]
    wrong = []
    for what, through in _disturbances(request):
        desk = request.world()
        _send(request, desk, through)
        wrong += [] if _reconcile_until_quiet(desk) else [f"{what}: reconciling does not come to rest"]
        wrong += [f"{what}: {disorder}" for disorder in disorders(desk)]
        wrong += [f"{what}: ends as {picture(desk)}"] if picture(desk) not in ends else []
    assert wrong == []


@pytest.mark.parametrize("name", sorted({*FROM_PEOPLE} - {"delete"}))  # a deletion is finished, never undone
def test_a_request_in_which_one_call_of_the_fleet_fails_is_undone_there_and_then(name: str) -> None:
    request = REQUESTS[name]
    before = picture(request.world())
    wrong = []
    for number, call in enumerate(_calls(request), 1):
        if not call.startswith("MemoryFleet"):
            continue  # what a table that does not answer has taken, it alone knows
        desk = request.world()
        faults = Faults(number, "before", unavailable(call))
        error = _send(request, desk, lambda port, faults=faults: FaultyPort(port, faults))
        wrong += [f"{call}: it is {error!r}"] if error is not faults.error else []
        wrong += [f"{call}: leaves {picture(desk)}"] if picture(desk) != before else []
    assert wrong == []


def _calls(request: Request) -> list[str]:
    return count_calls(lambda through: request.send(request.world(), through, AS_CREATED))


def _disturbances(request: Request) -> Iterator[tuple[str, Through]]:
    """Each way for each call to go wrong: it fails or the process dies, before or after its effect; or all is down."""
    for number, call in enumerate(_calls(request), 1):
        for when in ("before", "after"):
            for error in (unavailable(call), Killed()):
                faults = Faults(number, when, error)
                what = f"{type(error).__name__} {when} call {number}, {call}"
                yield what, lambda port, faults=faults: FaultyPort(port, faults)
        yield f"outage from call {number} on, {call}", Meanwhile(outage_from(number)).before


def _send(request: Request, desk: Desk, through: Through) -> BaseException | None:
    try:
        request.send(desk, through, AS_CREATED)
    except (RdbkeeperError, Killed) as error:
        return error
    return None


def _reconcile_until_quiet(desk: Desk) -> bool:
    """True when the third time at the latest has nothing to do: the first repairs, the second removes old versions."""
    desk.clock.advance(3600)
    for _ in range(3):
        answer = desk.reconcile().run()
        if not (answer["repairs"] or answer["reports"] or answer["failures"] or answer["left"]):
            return True
    return False
