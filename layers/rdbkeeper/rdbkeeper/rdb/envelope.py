"""What an RDB file's first and last bytes say.

Redis writes `REDIS` and four digits, Valkey from version 9 on `VALKEY` and three; both are nine bytes. From format
version 5 on a file ends with 0xFF and eight bytes of CRC64, little-endian, over all before them; eight zero bytes
mean that the server was told not to compute it. Source: rdb.c of Redis 7.0 and Valkey 9; tried with both.
"""

from __future__ import annotations

from dataclasses import dataclass

from rdbkeeper.domain.errors import ChecksumMismatch, EndMarkerMissing, NotAnRdbFile

HEADER_BYTES = 9
TRAILER_BYTES = 9  # the end-of-file marker and the CRC64
SMALLEST_FILE_BYTES = HEADER_BYTES + TRAILER_BYTES  # of a format with a CRC64
_END_OF_FILE = 0xFF
_FIRST_VERSION_WITH_CRC = 5


@dataclass(frozen=True)
class Verdict:
    """What is known of a whole file: its format version, the checks that it passed, and why no CRC was among them.

    `unchecked_reason` is "" when the file's own CRC64 agreed; `stored_crc64` is what its trailer holds, None where its
    format has none.
    """

    rdb_version: str
    checks: tuple[str, ...]
    unchecked_reason: str
    stored_crc64: int | None = None


def read_version(header: bytes) -> str:
    """The format version in a file's first nine bytes, such as `REDIS0011`. Raises NotAnRdbFile."""
    for magic in (b"REDIS", b"VALKEY"):
        digits = header[len(magic) : HEADER_BYTES]
        # No format has the number 0; a server refuses it too.
        if header.startswith(magic) and len(header) == HEADER_BYTES and digits.isdigit() and int(digits) > 0:
            return header.decode("ascii")
    raise NotAnRdbFile(
        f"The file begins with {header!r}, not as an RDB file does.",
        hint="The provider delivered something else, perhaps an error page. Nothing was published.",
    )


def judge(header: bytes, trailer: bytes, size_bytes: int, crc64_of_all: int) -> Verdict:
    """Judge a file by its first nine bytes, its last nine, its length and the CRC64 over all of it.

    The CRC64 over a file including its trailer is 0 exactly when the trailer is right, since the sum starts at 0,
    is not inverted at the end, and is stored little-endian.

    Raises NotAnRdbFile, EndMarkerMissing, ChecksumMismatch.
    """
    version = read_version(header)
    number = int(version.lstrip("REDISVALKY"))
    if number < _FIRST_VERSION_WITH_CRC:
        return _judge_without_crc(version, trailer)
    if size_bytes < SMALLEST_FILE_BYTES:
        raise EndMarkerMissing(
            f"The file has {size_bytes} bytes; the shortest RDB file has {SMALLEST_FILE_BYTES}.",
            hint="It was cut off. Nothing was published.",
        )
    if trailer[0] != _END_OF_FILE:
        raise EndMarkerMissing(
            f"Nine bytes before the file's end stands 0x{trailer[0]:02x} in place of the end marker 0xff.",
            hint="The file was cut off or something follows its end. Nothing was published.",
        )
    if trailer[1:] == bytes(8):
        return Verdict(
            version,
            ("length", "header", "end"),
            "no CRC: zeros stand in its place, as a server with rdbchecksum off writes them",
            0,
        )
    if crc64_of_all != 0:
        raise ChecksumMismatch(
            "The file's own CRC64 does not match its bytes.",
            hint="The backup is damaged at its source or was damaged on the way. Nothing was published; the next run "
            "reads it again. If it repeats, take a new backup at the provider.",
        )
    return Verdict(version, ("length", "header", "end", "crc64"), "", int.from_bytes(trailer[1:], "little"))


def _judge_without_crc(version: str, trailer: bytes) -> Verdict:
    if trailer[-1] != _END_OF_FILE:
        raise EndMarkerMissing(
            f"The file's last byte is 0x{trailer[-1]:02x} in place of the end marker 0xff.",
            hint="The file was cut off or something follows its end. Nothing was published.",
        )
    return Verdict(version, ("length", "header", "end"), f"no CRC: format {version} has none")
