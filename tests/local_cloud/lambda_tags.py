"""A function's tags: checked, because moto takes any tags for anything, versions and aliases included."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from tests.local_cloud.lambda_api import LATEST, bytes_answer, invalid, json_answer, json_body
from tests.local_cloud.lambda_checks import check_tags
from tests.local_cloud.lambda_registry import Registry


class TagDesk:
    """Answers the requests about tags."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def answer(self, request: Request, arn: str) -> Response:
        """Show, add or remove tags of the function with this ARN."""
        tags = self._tags_of(arn)
        if request.method == "GET":
            return json_answer({"Tags": tags})
        if request.method == "POST":
            added = json_body(request).get("Tags") or {}
            check_tags({**tags, **added})
            tags.update(added)
        else:
            for key in request.args.getlist("tagKeys"):
                tags.pop(key, None)
        return bytes_answer(b"", 204)

    def _tags_of(self, arn: str) -> dict[str, str]:
        if not arn.startswith("arn:") or ":function:" not in arn:
            raise invalid(f"{arn!r} is not a function's ARN, and the local cloud keeps tags of functions only.")
        ref = self._registry.ref(arn, None)
        if ref.qualifier is not None:
            raise invalid(f"{arn} is a version or an alias; Lambda keeps tags of whole functions only.")
        self._registry.record(ref.name)
        tags: dict[str, str] = self._registry.moto_function(ref.name, LATEST).tags
        return tags
