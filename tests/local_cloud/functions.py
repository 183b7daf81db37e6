"""The running functions: starts a sandbox when none is free, keeps warm ones, ends them all."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local_cloud.permissions.gate import permitted_sink
from tests.local_cloud.sandbox import (
    DRAIN_S,
    Invocation,
    Program,
    Sandbox,
    SandboxDiedError,
    SandboxTimeoutError,
)
from tests.local_cloud.sandbox_files import UnpackedFiles
from tests.local_cloud.sandbox_logs import LogSink, LogStream, LostLog

_ENDS_OF_PROCESS = ("Sandbox.Timedout", "Runtime.ExitError")


class ClosedError(Exception):
    """The local cloud is being closed; nothing is started any more."""


@dataclass(frozen=True)
class FunctionError:
    """Why an invocation failed, as Lambda puts it into the answer's payload."""

    type: str
    message: str
    # The handler was never reached: its module or the name in it cannot be loaded.
    at_start: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an invocation: the payload, and the error that it describes if there was one."""

    request_id: str
    payload: bytes
    error: FunctionError | None
    log_tail: str
    memory_used_mb: int


@dataclass(frozen=True)
class FailedInvocation:
    """A record of an invocation that failed, for whoever wonders what went wrong."""

    function_name: str
    version: str
    request_id: str
    error: FunctionError


class Functions:
    """All sandboxes: starts them when needed, keeps warm ones, ends them all on `close`."""

    def __init__(self, endpoint_url: str, root: Path, sink: LogSink, *, reuse: bool = True) -> None:
        self.reuse = reuse
        self.lost_logs: list[LostLog] = []
        self.failures: list[FailedInvocation] = []
        self._endpoint_url = endpoint_url
        self.folder = root
        self._sink = sink
        self._files = UnpackedFiles(root)
        self._lock = threading.Lock()
        self._idle: list[Sandbox] = []
        self._busy: list[Sandbox] = []
        self._in_background: list[str] = []
        self._closed = False

    def invoke(self, program: Program, invocation: Invocation) -> Outcome:
        """Run the handler once, in a warm sandbox of this version or a new one, and return what became of it."""
        sandbox = self._take(program)
        started_at = time.monotonic()
        sandbox.log.begin(invocation.request_id, program.version)
        try:
            outcome = _outcome(sandbox.ask(_command(program, invocation), program.timeout_s), invocation, sandbox)
        except SandboxTimeoutError:
            self._discard(sandbox)
            reason = f"Task timed out after {program.timeout_s:.2f} seconds"
            outcome = _ended("Sandbox.Timedout", reason, invocation, sandbox)
        except SandboxDiedError:
            # How it ended is known once it has, which may be a moment after its pipe was closed.
            sandbox.wait(DRAIN_S)
            outcome = _ended("Runtime.ExitError", _exit_reason(self._discard(sandbox)), invocation, sandbox)
        self._note_end(sandbox, invocation, outcome, (time.monotonic() - started_at) * 1000)
        if outcome.error:
            self.failures.append(FailedInvocation(program.name, program.version, invocation.request_id, outcome.error))
        self._give_back(sandbox, keep=self.reuse and not (outcome.error and outcome.error.at_start))
        return outcome

    def invoke_in_background(self, program: Program, invocation: Invocation) -> None:
        """Run the handler once without waiting for it; what became of it is in the log and in `failures`."""

        def run() -> None:
            try:
                with contextlib.suppress(ClosedError):
                    self.invoke(program, invocation)
            finally:
                with self._lock:
                    self._in_background.remove(program.name)

        with self._lock:
            self._in_background.append(program.name)
        threading.Thread(target=run, name=f"event for {program.name}", daemon=True).start()

    def wait_until_idle(self, function_name: str, timeout_s: float = 180.0) -> None:
        """Return when none of a function's invocations in the background is left; raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while function_name in self._in_background:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{function_name} still runs in the background after {timeout_s:g} s.")
            time.sleep(0.01)

    def _note_end(self, sandbox: Sandbox, invocation: Invocation, outcome: Outcome, duration_ms: float) -> None:
        status, reason = "success", ""
        if outcome.error:
            status = "timeout" if outcome.error.type == "Sandbox.Timedout" else "error"
            # What the function raised, it has logged itself; a process that is gone cannot.
            reason = outcome.error.message if outcome.error.type in _ENDS_OF_PROCESS else ""
        sandbox.log.finish(
            invocation.request_id,
            duration_ms,
            sandbox.program.memory_mb,
            outcome.memory_used_mb,
            status,
            reason,
        )

    def processes(self, function_name: str) -> list[int]:
        """Return the process ids of a function's sandboxes, warm ones included."""
        with self._lock:
            return [one.pid for one in self._busy + self._idle if one.program.name == function_name and one.alive]

    def kill(self, function_name: str) -> list[int]:
        """Send SIGKILL to all of a function's sandboxes and return their process ids."""
        with self._lock:
            doomed = [one for one in self._busy + self._idle if one.program.name == function_name and one.alive]
        for sandbox in doomed:
            sandbox.kill()
        return [sandbox.pid for sandbox in doomed]

    def forget(self, function_name: str) -> None:
        """End a function's warm sandboxes; busy ones run on to their end."""
        with self._lock:
            stale = [one for one in self._idle if one.program.name == function_name]
            self._idle = [one for one in self._idle if one not in stale]
        for sandbox in stale:
            sandbox.close()

    def close(self) -> None:
        """End every process and remove every file."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for sandbox in busy:
            sandbox.kill()
        for sandbox in idle:
            sandbox.close()
        deadline = time.monotonic() + DRAIN_S
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, program: Program) -> Sandbox:
        with self._lock:
            if self._closed:
                raise ClosedError(f"Invoking {program.name} failed: the local cloud is closing.")
            for sandbox in [one for one in self._idle if one.program.identity == program.identity]:
                self._idle.remove(sandbox)
                if sandbox.alive:
                    self._busy.append(sandbox)
                    return sandbox
                sandbox.close()
            task_dir = self._files.task_dir(program.code)
            opt_dir = self._files.opt_dir(program.layers)
            home = self.folder / "home" / uuid.uuid4().hex
            sink = permitted_sink(program.role, program.region, self._sink)
            log = LogStream(program.logging, program.version, sink, self.lost_logs)
            sandbox = Sandbox(program, home, task_dir, opt_dir, self._endpoint_url, log)
            self._busy.append(sandbox)
            return sandbox

    def _discard(self, sandbox: Sandbox) -> int:
        status = sandbox.close()
        with self._lock:
            self._busy.remove(sandbox)
        return status

    def _give_back(self, sandbox: Sandbox, *, keep: bool) -> None:
        with self._lock:
            if sandbox not in self._busy:
                return
            keep = keep and not self._closed
            if keep:
                self._busy.remove(sandbox)
                self._idle.append(sandbox)
        if not keep:
            self._discard(sandbox)


def _command(program: Program, invocation: Invocation) -> dict[str, Any]:
    return {
        "request_id": invocation.request_id,
        "event": invocation.event.decode(),
        "invoked_function_arn": invocation.invoked_function_arn,
        "client_context": invocation.client_context,
        "deadline_ms": int(time.time() * 1000) + program.timeout_s * 1000,
        "trace_id": f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0",
    }


def _outcome(reply: dict[str, Any], invocation: Invocation, sandbox: Sandbox) -> Outcome:
    tail, used_mb = sandbox.log.encoded_tail(), reply["memory_used_mb"]
    failure = reply.get("error")
    if failure is None:
        return Outcome(invocation.request_id, reply["result"].encode(), None, tail, used_mb)
    error = FunctionError(failure["errorType"], failure["errorMessage"], at_start=not reply["started"])
    return Outcome(invocation.request_id, json.dumps(failure).encode(), error, tail, used_mb)


def _exit_reason(status: int) -> str:
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    return "Runtime exited with error: signal: " + ("killed" if status == -signal.SIGKILL else str(-status))


def _ended(error_type: str, reason: str, invocation: Invocation, sandbox: Sandbox) -> Outcome:
    error = FunctionError(error_type, f"RequestId: {invocation.request_id} Error: {reason}")
    payload = json.dumps({"errorType": error.type, "errorMessage": error.message}).encode()
    return Outcome(invocation.request_id, payload, error, sandbox.log.encoded_tail(), 0)
