"""What stories are made of."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.rdb_files import rdb_file
from tests.faults.process import Process
from tests.faults.world import World

RULE = "nightly"

STORIES: dict[str, Callable[[], None]] = {}


def story(tell: Callable[[], None]) -> Callable[[], None]:
    """Put a story on the list, by the name of its function."""
    STORIES[tell.__name__] = tell
    return tell


def make_world(*sizes: int) -> World:
    """A world of one rule, with a backup of one file for each size."""
    world = World()
    world.add_rule()
    for number, size_bytes in enumerate(sizes):
        world.add_backup(f"b{number}", number, {"0001": rdb_file(size_bytes, seed=number)})
    return world


def once(label: str, do: Callable[[Process], None]) -> Callable[[Process, str], None]:
    """Do something before the first call of that name."""
    done = False

    def befall(process: Process, called: str) -> None:
        nonlocal done
        if called == label and not done:
            done = True
            do(process)

    return befall
