"""Functions of an owner that freeze and thaw writes, and an application that goes on writing all the while."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.demo.world import HOOKS, World
from tests.local_cloud.engines import Engine

COUNTER = "writes-of-the-application"
Ports = Mapping[str, Sequence[int]]  # instance -> its servers' ports
Failing = Sequence[tuple[str, str]]  # (instance, phase)
_ROLE = "freezes-and-thaws"
_PAUSE_S = 0.005
# "CLIENT PAUSE": with WRITE, commands that write are held back until the time is over or CLIENT UNPAUSE. A command in
# one line needs no client ("Redis serialization protocol specification", inline commands).
_CODE = """
import json
import os
import socket

COMMANDS = {"freeze": b"CLIENT PAUSE 600000 WRITE", "thaw": b"CLIENT UNPAUSE"}


def handler(event, context):
    phase, instance = event["phase"], event["instance"]
    if [instance, phase] in json.loads(os.environ["FAILING"]):
        raise RuntimeError("the application does not answer")
    for port in json.loads(os.environ["PORTS"])[instance]:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as server:
            server.sendall(COMMANDS[phase] + b"\\r\\n")
            if server.recv(64) != b"+OK\\r\\n":
                raise RuntimeError("the server did not take it")
    return {"phase": phase}
"""
_LOGS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"},
    ],
}
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


def make_hooks(world: World, ports: Ports, failing: Failing = (), names: Iterable[str] = HOOKS.values()) -> None:
    """Make functions of these names, each for both phases, for instances with servers at these ports.

    `failing` names instances and phases.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("app.py", _CODE)
    role = world.cloud.client("iam").create_role(RoleName=_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))
    world.cloud.client("iam").put_role_policy(RoleName=_ROLE, PolicyName="logs", PolicyDocument=json.dumps(_LOGS))
    for name in names:
        world.cloud.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="app.handler",
            Code={"ZipFile": packed.getvalue()},
            Timeout=30,
            Environment=_environment(ports, failing),
        )
        world.cloud.client("lambda").get_waiter("function_active_v2").wait(FunctionName=name)


def change_hooks(world: World, ports: Ports, failing: Failing = (), names: Iterable[str] = HOOKS.values()) -> None:
    """Let the functions fail for other instances and phases, or for none."""
    for name in names:
        environment = _environment(ports, failing)
        world.cloud.client("lambda").update_function_configuration(FunctionName=name, Environment=environment)
        world.cloud.client("lambda").get_waiter("function_updated_v2").wait(FunctionName=name)


def _environment(ports: Ports, failing: Failing) -> dict[str, dict[str, str]]:
    return {"Variables": {"PORTS": json.dumps(ports), "FAILING": json.dumps(failing)}}


@dataclass
class Application:
    """Counts in one key, write by write, for as long as it is let; a write that is held back is waited for.

    `waits` are how long writes took by the number that they wrote.
    """

    engine: Engine
    waits: dict[int, float] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write from now until the end of the block."""
        thread = threading.Thread(target=self._write, name="application")
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _write(self) -> None:
        with redis.Redis(host="127.0.0.1", port=self.engine.port, protocol=2, socket_timeout=None) as client:
            while not self._stopped.wait(_PAUSE_S):
                began = time.monotonic()
                number = int(client.incr(COUNTER))
                self.waits[number] = time.monotonic() - began

    @property
    def longest_wait(self) -> tuple[int, float]:
        """The write that was held back for the longest, and for how many seconds."""
        number = max(self.waits, key=self.waits.__getitem__)
        return number, self.waits[number]

    def go_back_to(self, number: int) -> None:
        """Let the servers hold what they did after that write, once writing has ended."""
        with self.engine.client() as client:
            client.set(COUNTER, number)


def read_counter(engine: Engine) -> int:
    """The last write that a server holds."""
    with engine.client() as client:
        return int(client.get(COUNTER) or 0)


def is_frozen(port: int, patience_s: float = 2.0) -> bool:
    """True when a server takes no writes: it then holds back PUBLISH too, which needs no key ("CLIENT PAUSE")."""
    once = Retry(NoBackoff(), 0)
    with redis.Redis(host="127.0.0.1", port=port, protocol=2, socket_timeout=patience_s, retry=once) as client:
        try:
            client.publish("nobody-listens", "")
        except redis.TimeoutError:
            return True
    return False
