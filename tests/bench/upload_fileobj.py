"""boto3's upload of a stream with its defaults: `python upload_fileobj.py URL ENDPOINT BUCKET KEY`."""

import http.client
import sys
from urllib.parse import urlsplit

import boto3


def main(url: str, endpoint: str, bucket: str, key: str) -> None:
    """Upload what the URL gives, as the documentation of boto3 shows it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    boto3.client("s3", endpoint_url=endpoint).upload_fileobj(connection.getresponse(), bucket, key)


if __name__ == "__main__":
    main(*sys.argv[1:])
