"""The pins are exact and whole: what is installed tomorrow is what is installed today."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
LAYER = REPOSITORY / "layers" / "rdbkeeper" / "requirements.txt"
TESTS = REPOSITORY / "tests" / "requirements.txt"
LINTERS = REPOSITORY / "tests" / "requirements-lint.txt"
CHECKOV = REPOSITORY / "tests" / "requirements-checkov.txt"
# Where the layer is used in the cloud.
CLOUD = {"python_version": "3.13", "python_full_version": "3.13.0", "platform_machine": "aarch64"}


def pins(file: Path) -> list[Requirement]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def by_name(requirements: list[Requirement]) -> dict[str, Requirement]:
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def needs(requirement: Requirement, environment: dict[str, str]) -> Iterator[Requirement]:
    for text in importlib.metadata.requires(requirement.name) or ():
        needed = Requirement(text)
        extras = ("", *requirement.extras)
        if needed.marker is None or any(needed.marker.evaluate({**environment, "extra": extra}) for extra in extras):
            yield needed


def unpinned(requirements: list[Requirement], environment: dict[str, str]) -> list[str]:
    pinned = by_name(requirements)
    problems = []
    for requirement in requirements:
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        for needed in needs(requirement, environment):
            pin = pinned.get(canonicalize_name(needed.name))
            if pin is None:
                problems.append(f"{requirement.name} needs {needed}, which is not pinned")
            elif not needed.specifier.contains(version_of(pin), prereleases=True):
                problems.append(f"{requirement.name} needs {needed}, but the pin is {pin}")
    return problems


def version_of(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    return specifier.version


@pytest.mark.parametrize("file", [LAYER, TESTS, LINTERS, CHECKOV], ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_requirement_is_pinned_to_one_version(file: Path) -> None:
    for requirement in pins(file):
        operators = [specifier.operator for specifier in requirement.specifier]
        assert operators == ["=="], requirement
        Version(version_of(requirement))


@pytest.mark.parametrize("environment", [{}, CLOUD], ids=["here", "cloud"])
def test_all_that_the_layer_needs_is_pinned(environment: dict[str, str]) -> None:
    assert unpinned(pins(LAYER), {**default_environment(), **environment}) == []


def test_all_that_the_tests_need_is_pinned() -> None:
    assert unpinned([*pins(LAYER), *pins(TESTS)], {**default_environment()}) == []


def test_what_is_installed_is_what_is_pinned() -> None:
    for pin in [*pins(LAYER), *pins(TESTS)]:
        if pin.marker is None or pin.marker.evaluate():
            assert importlib.metadata.version(pin.name) == version_of(pin), pin.name


def test_boto3_and_botocore_are_in_the_layer_at_one_version() -> None:
    layer = by_name(pins(LAYER))
    assert version_of(layer["boto3"]) == version_of(layer["botocore"])
