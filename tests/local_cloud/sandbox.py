"""A sandbox: one process of this interpreter that runs one version of a function.

A sandbox sees its function's code, the function's layers and the standard library, nothing else: a dependency
that the layer does not bring fails here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.local_cloud.leftovers import forget_process, keep_process
from tests.local_cloud.permissions.roles import access_key_of
from tests.local_cloud.sandbox_logs import LoggingSettings, LogStream

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# How long what a process printed may take to arrive after it has answered or died.
DRAIN_S = 20.0


@dataclass(frozen=True)
class Program:
    """One version of a function, with all that running it needs."""

    name: str
    version: str
    revision_id: str
    role: str  # its ARN
    handler: str
    runtime: str
    region: str
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]
    logging: LoggingSettings
    code: bytes = field(repr=False)
    layers: tuple[bytes, ...] = field(repr=False)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What two invocations must share to share a sandbox."""
        return self.name, self.version, self.revision_id


@dataclass(frozen=True)
class Invocation:
    """One request to run a function's handler."""

    event: bytes
    invoked_function_arn: str
    client_context: str | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class SandboxDiedError(Exception):
    """The process ended before it answered."""


class SandboxTimeoutError(Exception):
    """The process did not answer within the function's timeout."""


class Sandbox:
    """One process of one version, in which one invocation runs at a time."""

    def __init__(
        self, program: Program, home: Path, task_dir: Path, opt_dir: Path, endpoint_url: str, log: LogStream
    ) -> None:
        self.program = program
        self.log = log
        self._home = home
        home.mkdir(parents=True)
        command_end, self._commands = os.pipe()
        self._replies, reply_end = os.pipe()
        settings: dict[str, Any] = {"commands": command_end, "replies": reply_end}
        settings |= {"task_dir": str(task_dir), "packages_dir": str(opt_dir / "python")}
        # -I and -S: nothing of this environment's site-packages, of the caller's variables or of its folder.
        # -B: what the layer links to belongs to others, nothing is written there.
        options = ["-I", "-S", "-B", "-u", "-X", "utf8"]
        self._process = subprocess.Popen(
            [sys.executable, *options, str(_BOOTSTRAP), json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(program, home, task_dir, endpoint_url, log.name),
            cwd=task_dir,
            pass_fds=(command_end, reply_end),
            # A group of its own, so that what the function started ends with it.
            start_new_session=True,
        )
        keep_process(self._process.pid)
        os.close(command_end)
        os.close(reply_end)
        self._unread = b""
        self._ready = select.poll()
        self._ready.register(self._replies, select.POLLIN)
        self._reader = threading.Thread(target=self._read_output, name=f"log of {program.name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, command: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the process's reply; raises SandboxDiedError or SandboxTimeoutError, after which it must be closed."""
        try:
            _write_all(self._commands, json.dumps(command).encode() + b"\n")
        except BrokenPipeError as error:
            raise SandboxDiedError from error
        line = self._read_line(time.monotonic() + timeout_s)
        reply: dict[str, Any] = json.loads(line)
        self.log.wait_for_output(command["request_id"], DRAIN_S)
        return reply

    def _read_line(self, deadline: float) -> bytes:
        while b"\n" not in self._unread:
            if not self._ready.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise SandboxTimeoutError
            chunk = os.read(self._replies, 1 << 20)
            if not chunk:
                raise SandboxDiedError
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _read_output(self) -> None:
        output = self._process.stdout
        assert output is not None  # stdout=PIPE
        with output:
            while chunk := os.read(output.fileno(), 1 << 16):
                self.log.take(chunk)
        self.log.end()

    def wait(self, timeout_s: float) -> None:
        """Return when the process has ended, or after the timeout."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def kill(self) -> None:
        """Send SIGKILL to the process and to everything that it started."""
        with contextlib.suppress(ProcessLookupError):  # it was faster
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> int:
        """End the process, remove its folder and return how it ended."""
        self.kill()
        status = self._process.wait()
        forget_process(self._process.pid)
        self._reader.join(DRAIN_S)
        for descriptor in (self._commands, self._replies):
            os.close(descriptor)
        shutil.rmtree(self._home, ignore_errors=True)
        return status


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _environment(program: Program, home: Path, task_dir: Path, endpoint_url: str, stream_name: str) -> dict[str, str]:
    """Return what Lambda sets, what the function's configuration says, and nothing of the caller's environment."""
    logging = program.logging
    from_lambda = {
        "_HANDLER": program.handler,
        "AWS_ACCESS_KEY_ID": access_key_of(program.role),
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "AWS_REGION": program.region,
        "AWS_DEFAULT_REGION": program.region,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{program.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(program.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": program.name,
        "AWS_LAMBDA_FUNCTION_VERSION": program.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": logging.group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream_name,
        "LAMBDA_TASK_ROOT": str(task_dir),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": "UTC",
    }
    if logging.format == "JSON":
        from_lambda["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        from_lambda["AWS_LAMBDA_LOG_LEVEL"] = logging.application_level or "INFO"
    return {**program.environment, **from_lambda}
