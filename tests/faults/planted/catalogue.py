"""Every planted bug."""

from __future__ import annotations

from tests.faults.planted.asking import ASKING
from tests.faults.planted.bug import PlantedBug
from tests.faults.planted.charge import IN_CHARGE
from tests.faults.planted.choosing import CHOOSING
from tests.faults.planted.keeping import KEEPING
from tests.faults.planted.moving import MOVING
from tests.faults.planted.publishing import PUBLISHING
from tests.faults.planted.reading_servers import READING_SERVERS

BUGS: tuple[PlantedBug, ...] = (*PUBLISHING, *MOVING, *IN_CHARGE, *CHOOSING, *KEEPING, *ASKING, *READING_SERVERS)


def find_bug(name: str) -> PlantedBug:
    """The bug of that name. Raises KeyError."""
    return {bug.name: bug for bug in BUGS}[name]
