"""The least that a client can do: `python raw_put.py URL ENDPOINT BUCKET KEY` reads, and sends, over one socket each.

What this takes is what the source, the sink and the machine allow; every client must be slower.
"""

import http.client
import sys
from urllib.parse import urlsplit

READ_BYTES = 1 << 20


def main(url: str, endpoint: str, bucket: str, key: str) -> None:
    """Put what the URL gives, unsigned and unchecked."""
    parts = urlsplit(url)
    source = http.client.HTTPConnection(parts.netloc)
    source.request("GET", parts.path)
    body = source.getresponse()
    target = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    target.putrequest("PUT", f"/{bucket}/{key}")
    target.putheader("Content-Length", body.headers["Content-Length"])
    target.endheaders()
    buffer = memoryview(bytearray(READ_BYTES))
    while count := body.readinto(buffer):
        target.sock.sendall(buffer[:count])
    if target.getresponse().status != http.HTTPStatus.OK:
        raise SystemExit("the sink refused it")


if __name__ == "__main__":
    main(*sys.argv[1:])
