"""A sandbox's log stream: what its process prints, and what Lambda says about each invocation."""

from __future__ import annotations

import base64
import datetime as dt
import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.local_cloud.bootstrap import END_OF_OUTPUT

LogEvent = tuple[int, str]  # milliseconds since 1970, one line
# Takes events of one stream; False when the log group does not exist.
LogSink = Callable[[str, str, Sequence[LogEvent]], bool]

TAIL_BYTES = 4096


@dataclass(frozen=True)
class LoggingSettings:
    """A function's LoggingConfig, complete."""

    group: str
    format: str
    application_level: str | None
    system_level: str | None

    def tells(self, *, is_warning: bool) -> bool:
        """Return whether Lambda's own lines, ordinary ones or warnings, belong into the log."""
        return self.format == "Text" or is_warning or self.system_level in ("INFO", "DEBUG")


@dataclass(frozen=True)
class LostLog:
    """Lines that nobody will read, because their log group does not exist."""

    group: str
    stream: str
    lines: tuple[str, ...]


def new_stream_name(version: str) -> str:
    """Return a name for a sandbox's log stream, as Lambda names them."""
    return f"{dt.datetime.now(dt.UTC):%Y/%m/%d}/[{version}]{uuid.uuid4().hex}"


class LogStream:
    """Ships one sandbox's lines as they come, in the order of their times."""

    def __init__(self, settings: LoggingSettings, version: str, sink: LogSink, lost: list[LostLog]) -> None:
        self.name = new_stream_name(version)
        self._settings = settings
        self._sink = sink
        self._lost = lost
        self._lock = threading.Lock()
        self._last_ms = 0
        self._partial = b""
        self._ended: dict[str, threading.Event] = {}
        self._tail: list[str] = []

    def begin(self, request_id: str, version: str) -> None:
        """Note that an invocation starts."""
        self._ended[request_id] = threading.Event()
        self._tail = []
        record: dict[str, object] = {"requestId": request_id, "version": version}
        self._tell("platform.start", record, f"START RequestId: {request_id} Version: {version}")

    def wait_for_output(self, request_id: str, timeout_s: float) -> None:
        """Return when all that the invocation printed was shipped."""
        self._ended[request_id].wait(timeout_s)
        del self._ended[request_id]

    def finish(
        self, request_id: str, duration_ms: float, memory_mb: int, memory_used_mb: int, status: str, reason: str
    ) -> None:
        """Note how an invocation ended."""
        metrics = {"durationMs": round(duration_ms, 3), "billedDurationMs": int(duration_ms) + 1}
        metrics |= {"memorySizeMB": memory_mb, "maxMemoryUsedMB": memory_used_mb}
        text = f"{reason}\n" if reason else ""
        text += (
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\tBilled Duration: "
            f"{int(duration_ms) + 1} ms\tMemory Size: {memory_mb} MB\tMax Memory Used: {memory_used_mb} MB"
        )
        if status != "success":
            text += f"\tStatus: {status}"
        record: dict[str, object] = {"requestId": request_id, "metrics": metrics, "status": status}
        self._tell("platform.report", record, text, is_warning=status != "success")

    def take(self, chunk: bytes) -> None:
        """Ship the whole lines of what the process printed next."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        ended: list[str] = []
        texts: list[str] = []
        for line in lines:
            text, mark, ended_id = line.partition(END_OF_OUTPUT)
            if text or not mark:
                texts.append(text.decode(errors="replace"))
            if mark:
                ended.append(ended_id.decode(errors="replace"))
        self._ship(texts)
        for request_id in ended:
            if request_id in self._ended:
                self._ended[request_id].set()

    def end(self) -> None:
        """Ship what is left; the process has ended."""
        if self._partial:
            self.take(b"\n")
        for event in list(self._ended.values()):
            event.set()

    def encoded_tail(self) -> str:
        """Return the last 4 KB of the present invocation's log in Base64."""
        return base64.b64encode("\n".join(self._tail).encode()[-TAIL_BYTES:]).decode()

    def _tell(self, kind: str, record: dict[str, object], text: str, *, is_warning: bool = False) -> None:
        if not self._settings.tells(is_warning=is_warning):
            return
        if self._settings.format == "Text":
            self._ship(text.split("\n"))
            return
        stamp = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._ship([json.dumps({"time": stamp, "type": kind, "record": record})])

    def _ship(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        with self._lock:
            self._last_ms = max(self._last_ms, int(time.time() * 1000))
            self._tail.extend(texts)
            if not self._sink(self._settings.group, self.name, [(self._last_ms, text) for text in texts]):
                self._lost.append(LostLog(self._settings.group, self.name, tuple(texts)))
