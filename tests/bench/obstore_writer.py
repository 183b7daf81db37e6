"""obstore's writer: `python obstore_writer.py URL ENDPOINT BUCKET KEY [--sums]`.

With --sums it leaves the payload unsigned and sums the stream itself, SHA-256 and the RDB format's CRC64: the nearest
that it comes to what our copy checks. It runs in the benches' own environment and so imports nothing of ours.
"""

import hashlib
import http.client
import os
import sys
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

PART_BYTES = 16 << 20
PARTS_IN_FLIGHT = 4
READ_BYTES = 1 << 20


def main(url: str, endpoint: str, bucket: str, key: str, *options: str) -> None:
    """Upload what the URL gives."""
    sums = "--sums" in options
    store = S3Store(
        bucket,
        endpoint=endpoint,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_DEFAULT_REGION"],
        virtual_hosted_style_request=False,
        unsigned_payload=sums,
        client_options={"allow_http": True},
    )
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    source = connection.getresponse()
    sha256, crc64, calculate = hashlib.sha256(), 0, _crc64_calculator() if sums else None
    buffer = bytearray(READ_BYTES)
    with obstore.open_writer(store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT) as writer:
        while count := source.readinto(buffer):
            piece = bytes(memoryview(buffer)[:count])
            if calculate is not None:
                sha256.update(piece)
                crc64 = calculate(piece, crc64)
            writer.write(piece)
    if calculate is not None and crc64 != 0:
        raise SystemExit("the file's own CRC64 does not agree")


def _crc64_calculator():  # noqa: ANN202 - anycrc has no types
    import anycrc

    return anycrc.Model("CRC64-REDIS").calc


if __name__ == "__main__":
    main(*sys.argv[1:])
