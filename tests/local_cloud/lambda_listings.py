"""Listings of functions, versions and aliases, in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moto.awslambda.models import LambdaFunction
from werkzeug.wrappers import Request, Response

from tests.local_cloud.front import Forward
from tests.local_cloud.lambda_api import LATEST, FunctionRef, invalid, json_answer
from tests.local_cloud.lambda_checks import page_size
from tests.local_cloud.lambda_registry import Registry
from tests.local_cloud.paging import BadTokenError, Item, Page, cut_page

_PAGE = 50
# "The ListFunctions operation returns a subset of the FunctionConfiguration fields"; the same is held here of versions.
_NOT_LISTED = frozenset(
    {
        "LastUpdateStatus",
        "LastUpdateStatusReason",
        "LastUpdateStatusReasonCode",
        "RuntimeVersionConfig",
        "State",
        "StateReason",
        "StateReasonCode",
    }
)


class ListingDesk:
    """Answers the requests that list."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def functions(self, request: Request) -> Response:
        """List every function, with all its versions when that is asked for."""
        wanted = request.args.get("FunctionVersion")
        if wanted not in (None, "ALL"):
            raise invalid(f"FunctionVersion {wanted!r} can only be ALL.")
        with self._registry.lock:
            found = []
            for name in self._registry.records:
                found.append(self._registry.moto_function(name, LATEST))
                found += self._registry.published(name) if wanted else []
            page = _page_of(found, request)
            shown = [self._shown(one, qualified=wanted is not None) for one in page.items]
        return _answer("Functions", shown, page.next_token)

    def versions(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """List what is unpublished and every published version of a function."""
        found = [self._registry.moto_function(ref.name, LATEST), *self._registry.published(ref.name)]
        page = _page_of(found, request)
        return _answer("Versions", [self._shown(one, qualified=True) for one in page.items], page.next_token)

    def aliases(self, request: Request, forward: Forward, ref: FunctionRef) -> Response:
        """List a function's aliases, those that point to one version when that is asked for."""
        wanted = request.args.get("FunctionVersion")
        aliases = self._registry.aliases(ref.name).values()
        page = _page_of([alias for alias in aliases if wanted in (None, str(alias.function_version))], request)
        return _answer("Aliases", [alias.to_json() for alias in page.items], page.next_token)

    def _shown(self, function: LambdaFunction, *, qualified: bool) -> dict[str, Any]:
        described = self._registry.record(function.function_name).describe(function.get_configuration())
        if qualified and described["Version"] == LATEST:
            described["FunctionArn"] += f":{LATEST}"
        return {key: value for key, value in described.items() if key not in _NOT_LISTED}


def _page_of(found: Sequence[Item], request: Request) -> Page[Item]:
    try:
        return cut_page(found, request.args.get("Marker"), page_size(request.args.get("MaxItems"), _PAGE))
    except BadTokenError as error:
        raise invalid(f"Marker: {error}") from error


def _answer(field: str, shown: Sequence[dict[str, Any]], next_marker: str | None) -> Response:
    return json_answer({field: list(shown)} | ({"NextMarker": next_marker} if next_marker else {}))
