"""`python -m tests.local_cloud`: deploys the template onto a local cloud and serves it until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from tests.local_cloud.deploy import DEFAULT_TEMPLATE
from tests.local_cloud.front import AddressInUseError
from tests.local_cloud.server import LOCALSTACK_PORT, LocalCloud


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; 0 after that, 1 when the port is taken."""
    asked = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: stop.set())
    parent = os.getppid()
    try:
        with LocalCloud(asked.port, asked.region, asked.export_delay) as cloud:
            if not asked.empty:
                print(f"deploying {asked.template.name} ...", flush=True)
                cloud.deploy(template=asked.template, stack=asked.stack)
            print(f"The local cloud listens on {cloud.endpoint_url} ({cloud.region}); stop it with Ctrl-C.", flush=True)
            while not stop.wait(0.5):
                if asked.with_parent and os.getppid() != parent:
                    break
    except AddressInUseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.local_cloud", description=__doc__)
    parser.add_argument("--port", type=int, default=LOCALSTACK_PORT, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--region", default="us-east-1", help="the cloud's region (default: %(default)s)")
    parser.add_argument("--stack", default="rdbkeeper", help="the stack's name (default: %(default)s)")
    parser.add_argument("--template", type=Path, default=DEFAULT_TEMPLATE, help="what is deployed")
    parser.add_argument("--export-delay", type=float, default=1.0, metavar="SECONDS", help="how long an export takes")
    parser.add_argument("--empty", action="store_true", help="deploy nothing")
    parser.add_argument("--with-parent", action="store_true", help="stop when the process that started this one ends")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
