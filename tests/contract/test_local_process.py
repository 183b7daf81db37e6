"""The local cloud as a process: it serves until it is told to stop, and leaves nothing behind whatever way it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
import urllib3

from tests.contract.lambda_lab import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]

WHOLE_LIFE = """
    import os, signal, sys, threading
    from tests.contract.lambda_lab import ECHO, STEPS, Lab
    from tests.local_cloud.server import LocalCloud

    with LocalCloud() as cloud:
        lab = Lab(cloud)
        name, plain = lab.make_durable(STEPS), lab.make(ECHO)
        lab.start(f"{name}:$LATEST")
        print(lab.call(plain)["pid"], cloud.functions.processes(name)[0], cloud.functions.folder, flush=True)
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    # Workers without work are told to return, and nobody waits until they have.
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(60)
    print([thread.name for thread in threading.enumerate()], flush=True)
"""


def test_nothing_is_left_when_the_cloud_ends_or_its_process_is_killed() -> None:
    command = [sys.executable, "-c", textwrap.dedent(WHOLE_LIFE)]
    ways = {
        way: subprocess.Popen([*command, way], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for way in ("end", "kill")
    }
    for way, process in ways.items():
        output, _ = process.communicate(timeout=180)
        first, *rest = output.splitlines()
        *pids, folder = first.split()
        assert process.returncode == (-signal.SIGKILL if way == "kill" else 0)
        assert rest == ([] if way == "kill" else ["['MainThread']"])
        wait_until(partial(_are_gone, [int(pid) for pid in pids], Path(folder)))


def _are_gone(pids: list[int], folder: Path) -> bool:
    return not folder.exists() and not any(map(_is_running, pids))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that nobody has reaped yet has ended all the same.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(signal_number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.local_cloud", "--port", "0", "--empty"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            endpoint_url = next(word for word in words if word.startswith("http://127.0.0.1:"))
            assert urllib3.request("GET", f"{endpoint_url}/_local/health").status == 200
            process.send_signal(signal_number)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
