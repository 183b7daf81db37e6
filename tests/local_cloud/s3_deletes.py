"""DeleteObjects: each key by itself, with its own condition and its own error."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from tests.local_cloud.s3_request import MAX_KEY_BYTES, NAMESPACE, S3Error

_MAX_KEYS = 1000


@dataclass(frozen=True)
class Removal:
    """One key that a DeleteObjects request names."""

    key: str
    etag: str | None
    version_id: str | None


def read_removals(body: bytes) -> tuple[list[Removal], bool]:
    """Return the keys to remove, and whether only errors are to be answered."""
    malformed = S3Error(
        400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )
    try:
        root = ET.fromstring(body)  # noqa: S314 - from this machine's own tests
        removals = [_removal(element) for element in root if _name(element) == "Object"]
    except (ET.ParseError, KeyError) as error:
        raise malformed from error
    if not 1 <= len(removals) <= _MAX_KEYS:
        raise malformed
    if any(len(removal.key.encode()) > MAX_KEY_BYTES for removal in removals):
        raise S3Error(400, "KeyTooLongError", "Your key is too long")
    quiet = any(_name(element) == "Quiet" and element.text == "true" for element in root)
    return removals, quiet


def _removal(element: ET.Element) -> Removal:
    fields = {_name(child): child.text or "" for child in element}
    return Removal(fields["Key"], fields.get("ETag"), fields.get("VersionId"))


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def body_of(removals: Sequence[Removal], *, quiet: bool) -> bytes:
    """Return a DeleteObjects request's body for these keys, without their conditions."""
    rows = []
    for removal in removals:
        version = f"<VersionId>{escape(removal.version_id)}</VersionId>" if removal.version_id else ""
        rows.append(f"<Object><Key>{escape(removal.key)}</Key>{version}</Object>")
    return f'<Delete xmlns="{NAMESPACE}">{"".join(rows)}<Quiet>{str(quiet).lower()}</Quiet></Delete>'.encode()


def answer_with_errors(response: Response | None, errors: Mapping[Removal, tuple[str, str]]) -> Response:
    """Return the answer with the keys that were refused added to it; None stands for no other keys."""
    rows = "".join(
        f"<Error><Key>{escape(removal.key)}</Key><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        for removal, (code, message) in errors.items()
    )
    if response is None:
        return Response(f'<DeleteResult xmlns="{NAMESPACE}">{rows}</DeleteResult>', content_type="application/xml")
    if response.status_code != 200:
        return response
    body = response.get_data()
    end = b"</DeleteResult>"
    if end not in body:
        raise AssertionError(f"moto's answer to DeleteObjects has another form than known: {body!r}")
    response.set_data(body.replace(end, rows.encode() + end))
    return response
