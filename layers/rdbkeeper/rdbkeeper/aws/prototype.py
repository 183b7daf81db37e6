"""The template's function that every rule's function is made like, and its code."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from rdbkeeper.aws.code_package import fetch_code
from rdbkeeper.aws.errors import DENIED_HINT, translated
from rdbkeeper.aws.fleet_errors import FAMILY
from rdbkeeper.aws.function_settings import read_settings
from rdbkeeper.domain.errors import FleetDenied
from rdbkeeper.domain.fleet.parts import Prototype
from rdbkeeper.domain.fleet.settings import FleetSettings
from rdbkeeper.ports import Record


class PrototypeFunction:
    """Reads the prototype; its code is fetched when it is first needed, and again only after it was deployed anew."""

    def __init__(self, client: Callable[[str], Any], settings: FleetSettings) -> None:
        self._client = client
        self._settings = settings
        self._lock = Lock()
        self._sha256 = ""
        self._package = b""
        self._package_sha256 = ""

    def read(self) -> Prototype:
        """The prototype as it is deployed now."""
        configuration = self._get()["Configuration"]
        return Prototype(
            self._settings, configuration["FunctionArn"], read_settings(configuration), configuration["CodeSha256"]
        )

    def code(self) -> bytes:
        """The zip file of the prototype, as it was when it was last read."""
        with self._lock:
            if not self._package or self._package_sha256 != self._sha256:
                # Asked again rather than kept: the link to the code is a secret, and good for ten minutes only.
                function = self._get()
                self._package = fetch_code(function, self._client("lambda").meta.endpoint_url)
                self._package_sha256 = function["Configuration"]["CodeSha256"]
            return self._package

    def _get(self) -> Record:
        name = self._settings.prototype_function
        with translated(FAMILY, f"Reading the prototype function {name}"):
            function: Record = self._client("lambda").get_function(FunctionName=name)
        problem = function["Configuration"].get("Environment", {}).get("Error")
        if problem:  # every rule's function would be given an empty environment
            raise FleetDenied(
                f"Reading the environment of the prototype function {name} failed: {problem.get('ErrorCode')}: "
                f"{problem.get('Message', '').rstrip('.')}.",
                hint=DENIED_HINT,
            )
        self._sha256 = function["Configuration"]["CodeSha256"]
        return function
