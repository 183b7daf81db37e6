"""A whole Ceph with its object gateway on this machine: a monitor, one storage daemon in memory, and the gateway.

It checks signatures and moves every byte twice more, as a real store does. Nothing but loopback, no keys between its
daemons; all of it lies in one folder and ends with the block.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import await_port, free_port, running

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
BUCKET = "vault"
# Long enough for an osd to be made on a machine that is busy.
COMMAND_TIMEOUT_S = 120.0
_GIBIBYTE = 1 << 30
# Every subsystem that has something to say while data pass; Ceph also keeps in memory what it does not write.
_SILENT = (
    "asok auth bluestore filer finisher mon monc ms objclass objecter optracker osd paxos perfcounter rados rgw timer "
    "tp"
)
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon_port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
ms crc data = false
ms crc header = false
auth cluster required = none
auth service required = none
auth client required = none
mon data = {folder}/mon
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
mon data avail warn = 1
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory_bytes}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
osd enable op tracker = false
rgw enable usage log = false
rgw enable ops log = false
rgw gc obj min wait = 1
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
{silence}
"""


@dataclass(frozen=True)
class Ceph:
    """A gateway that answers at `endpoint`, with an empty bucket for copies."""

    endpoint: str
    environment: Mapping[str, str]

    def check_and_clear(self, size_bytes: int) -> None:
        """Raise RuntimeError unless an object of exactly that size is there; then remove all, and free its memory."""
        self._look("check_and_clear", str(size_bytes))
        self._run("radosgw-admin", "gc", "process", "--include-all")

    def make_bucket(self) -> None:
        self._look("make_bucket")

    def _look(self, *arguments: str) -> None:
        self._run(sys.executable, "-m", "tests.bench.ceph_bucket", self.endpoint, BUCKET, *arguments)

    def _run(self, *command: str) -> None:
        run(command, self.environment)


def missing_programs() -> list[str]:
    """The programs of Ceph that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def ceph(folder: Path, memory_bytes: int, environment: Mapping[str, str]) -> Iterator[Ceph]:
    """A Ceph that holds up to so many bytes; its one user has the environment's credentials."""
    home = folder / "ceph"
    for name in ("mon", "osd"):
        (home / name).mkdir(parents=True)
    mon_port, port, fsid = free_port(), free_port(), str(uuid.uuid4())
    configuration = home / "ceph.conf"
    silence = "\n".join(f"debug {name} = 0/0" for name in _SILENT.split())
    configuration.write_text(
        _CONFIGURATION.format(
            fsid=fsid, mon_port=mon_port, folder=home, memory_bytes=memory_bytes + _GIBIBYTE, silence=silence
        ),
        encoding="ascii",
    )
    environment = {**environment, "CEPH_CONF": str(configuration)}
    with ExitStack() as daemons:

        def start(*command: str) -> subprocess.Popen[bytes]:
            return daemons.enter_context(running(command, home / "daemons.log", environment))

        monitors = str(home / "monitors")
        run(
            ["monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{mon_port}]", "--fsid", fsid, monitors],
            environment,
        )
        run(["ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors], environment)
        await_port(mon_port, start("ceph-mon", "-f", "-i", "a"))
        _prepare_storage(environment)
        start("ceph-osd", "-f", "-i", "0")
        gateway = start("radosgw", "-f", "-n", "client.rgw.a", "--rgw-frontends", f"beast endpoint=127.0.0.1:{port}")
        await_port(port, gateway)
        _add_user(environment)
        place = Ceph(f"http://127.0.0.1:{port}", environment)
        place.make_bucket()
        yield place


def _prepare_storage(environment: Mapping[str, str]) -> None:
    """Give the storage daemon its place; left to seek it itself, it may come before the monitor knows it, and end."""
    osd_id = str(uuid.uuid4())
    run(["ceph", "osd", "new", osd_id], environment)
    run(["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id], environment)
    run(["ceph", "osd", "crush", "create-or-move", "osd.0", "1.0", "root=default", "host=bench"], environment)


def _add_user(environment: Mapping[str, str]) -> None:
    keys = [f"--access-key={environment['AWS_ACCESS_KEY_ID']}", f"--secret={environment['AWS_SECRET_ACCESS_KEY']}"]
    run(["radosgw-admin", "user", "create", "--uid=bench", "--display-name=bench", *keys], environment)


def run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program to its end. Raises RuntimeError with what it said."""
    ended = subprocess.run(command, env=dict(environment), capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {ended.stderr[-2000:].decode(errors='replace')}")
