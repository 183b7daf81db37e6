"""Runs a client once and measures what it took: time, processor time and memory of it and of what it started."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A client's command line and its environment, whole.

    `feed`, where given, is a program whose output the client reads, and which is not measured.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    feed: Sequence[str] = ()


@dataclass(frozen=True)
class Measured:
    """One run of a client. The peak is that of the largest of its processes."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    output: str


def measure(command: Command) -> Measured:
    """Run a client to its end. Raises RuntimeError, with what it said, when it fails."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        began_s = time.monotonic()
        feed = _start_feed(command)
        client = subprocess.Popen(
            command.arguments,
            stdin=feed.stdout if feed is not None else subprocess.DEVNULL,
            stdout=answered,
            stderr=said,
            env=dict(command.environment),
        )
        if feed is not None and feed.stdout is not None:
            feed.stdout.close()  # the client alone holds the pipe, so the feed ends when the client does
        _, status, usage = os.wait4(client.pid, 0)
        wall_s = time.monotonic() - began_s
        client.returncode = os.waitstatus_to_exitcode(status)
        feed_code = feed.wait() if feed is not None else 0
        if client.returncode or feed_code:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command.arguments)} failed: {said.read()[-2000:].decode(errors='replace')}")
        answered.seek(0)
        output = answered.read().decode(errors="replace")
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def _start_feed(command: Command) -> subprocess.Popen[bytes] | None:
    if not command.feed:
        return None
    return subprocess.Popen(command.feed, stdout=subprocess.PIPE, env=dict(command.environment))
