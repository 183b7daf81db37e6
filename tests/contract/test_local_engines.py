"""The local Redis servers: they end with their parent, and what they hold can be compared."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.elasticache_place import wait_for
from tests.local_cloud.dataset import digest, fill
from tests.local_cloud.engines import Engine, EngineError, find_server


def test_servers_end_and_files_go_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from tests.local_cloud.engines import Engine\n"
        "engine = Engine().start()\n"
        "print(engine.process_id, engine.bgsave().parent, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    process_id, directory = parent.stdout.readline().split()
    assert Path(directory).is_dir()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not is_running(int(process_id)) and not Path(directory).exists())


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    # Whoever adopts the orphan may take a moment to reap it.
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_stopped_engine_is_reaped_and_its_directory_removed() -> None:
    engine = Engine().start()
    directory, process_id = engine.bgsave().parent, engine.process_id
    engine.stop()
    engine.stop()
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id or 0, 0)


def test_a_machine_without_a_redis_server_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="Install redis-server or valkey-server"):
        find_server.__wrapped__()


def test_the_same_seed_makes_the_same_data() -> None:
    with Engine() as one, Engine() as other:
        fill(one.port, seed=5, ballast_bytes=100_000)
        fill(other.port, seed=5, ballast_bytes=100_000)
        assert digest(one.port) == digest(other.port)
        one.command("SET", "one-more", 1)
        assert digest(one.port) != digest(other.port)


def test_a_backup_does_not_change_when_the_next_one_is_taken() -> None:
    with Engine() as engine:
        engine.command("SET", "key", "first")
        backup = engine.bgsave()
        before = backup.read_bytes()
        engine.command("SET", "key", "second")
        later = engine.bgsave()
        assert (backup.read_bytes(), later.read_bytes() == before) == (before, False)
