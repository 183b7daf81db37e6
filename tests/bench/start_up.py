"""How long a new sandbox imports before it can do anything: each handler, with compiled files and without.

The layer is laid out as `sam build` does, from the distributions of this environment, and compiled by the Python that
is measured: the runtime's own version where this machine has it. Only processor time counts, from the first line of a
fresh process to the handler; what Python itself needs to start is left out, for Lambda has started it by then.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.local_cloud.code_packages import local_packages
from tests.packaging.runtime_python import find_python

_REPOSITORY = Path(__file__).resolve().parents[2]
_LAYER, _FUNCTIONS = _REPOSITORY / "layers" / "rdbkeeper", _REPOSITORY / "functions"

SDK = "aws_durable_execution_sdk_python"
MOST_MS = {"run_rule": 450.0}
PROCESSES = 9
# Whatever else a machine does can only lengthen an import: a bound is broken when this many medians break it.
MOST_ROUNDS = 5

_IMPORT = """
import sys, time
before_s = time.process_time()
sys.path[:0] = sys.argv[2:]
__import__(sys.argv[1])
print(time.process_time() - before_s)
"""


@dataclass(frozen=True)
class StartUp:
    """What importing a module takes, in milliseconds of a processor; `most_ms` is its bound, None where it has none."""

    what: str
    compiled_ms: float
    uncompiled_ms: float
    most_ms: float | None = None

    @property
    def holds(self) -> bool:
        return self.most_ms is None or self.compiled_ms <= self.most_ms


@dataclass(frozen=True)
class StartUps:
    """Every handler's start, and that of the SDK alone; `python` is the version that was measured."""

    python: str
    starts: tuple[StartUp, ...]


def measure_start_ups(processes: int = PROCESSES) -> StartUps:
    """Import each handler in so many fresh processes with compiled files, and in a third as many without."""
    python = find_python() or sys.executable
    with _laid_out(python) as stage:
        handlers = sorted(path.parent.name for path in _FUNCTIONS.glob("*/app.py"))
        starts = [stage.start_up(name, f"{name}.app", processes) for name in handlers]
        alone = stage.start_up("the durable SDK alone, boto3 with it", SDK, processes)
    version = _answer([python, "-c", "import platform; print(platform.python_version())"])
    return StartUps(version, (*starts, alone))


@dataclass(frozen=True)
class _Stage:
    """The functions' code, and the layer twice: with compiled files and without."""

    python: str
    functions: Path
    compiled: Path
    uncompiled: Path

    def start_up(self, what: str, module: str, processes: int) -> StartUp:
        most_ms = MOST_MS.get(what)
        compiled_ms = self._import_ms(module, self.compiled, processes)
        for _ in range(MOST_ROUNDS - 1):
            if most_ms is None or compiled_ms <= most_ms:
                break
            compiled_ms = min(compiled_ms, self._import_ms(module, self.compiled, processes))
        uncompiled_ms = self._import_ms(module, self.uncompiled, max(1, processes // 3))  # they are slow, and no bound
        return StartUp(what, compiled_ms, uncompiled_ms, most_ms)

    def _import_ms(self, module: str, layer: Path, processes: int) -> float:
        """The median of fresh processes, which see nothing of this environment and write nothing."""
        command = [self.python, "-I", "-S", "-B", "-c", _IMPORT, module, str(self.functions), str(layer)]
        return statistics.median(float(_answer(command)) * 1000 for _ in range(processes))


@contextmanager
def _laid_out(python: str) -> Iterator[_Stage]:
    with tempfile.TemporaryDirectory(prefix="start-up-") as name:
        root = Path(name)
        stage = _Stage(python, root / "functions", root / "compiled", root / "uncompiled")
        _copy(_FUNCTIONS, stage.functions)
        stage.uncompiled.mkdir()
        for path in (_LAYER / "rdbkeeper", *local_packages(_LAYER / "requirements.txt")):
            _copy(path, stage.uncompiled / path.name)
        shutil.copytree(stage.uncompiled, stage.compiled)
        _answer([python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(stage.compiled)])
        yield stage


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # The services' models are most of botocore, and none is read before a client is made.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "data", "tests"))
    else:
        shutil.copy(source, target)


def _answer(command: Sequence[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} … failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()
