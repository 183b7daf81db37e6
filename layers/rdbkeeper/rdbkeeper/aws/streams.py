"""The body of an S3 answer as a ByteStream."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from rdbkeeper.aws.errors import Family

# urllib3 reads into a buffer of its own first, as long as what is asked for.
_MOST_AT_ONCE_BYTES = 1 << 20


class BodyStream:
    """Fills buffers from a StreamingBody; a cut connection becomes the family's `unavailable`."""

    def __init__(self, body: Any, family: Family, what: str) -> None:
        self._body = body
        self._family = family
        self._what = what

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            return int(self._body.readinto(buffer[:_MOST_AT_ONCE_BYTES]))
        except (BotoCoreError, HTTPError, OSError) as error:
            message = f"{self._what}: the connection broke off: {type(error).__name__}."
            raise self._family.unavailable(message, hint="The next attempt reads this part again.") from error

    def close(self) -> None:
        self._body.close()
