"""Makes the zip files that a deployment would upload: the functions' code and the layer.

The layer's zip holds our package and, in place of 45 MB of copies, a list of where the layer's dependencies
lie in this environment: exactly those that its requirements.txt brings, so that one missing there is missing in
the functions.
"""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCAL_PACKAGES = "python/.local_packages"
# A zip file's earliest date: the same files make the same bytes, as `sam build` does.
_DATE = (1980, 1, 1, 0, 0, 0)


class PackagingError(RuntimeError):
    """The environment that runs the tests is not the one that the requirements describe."""


def zip_folder(folder: Path) -> bytes:
    """Return the folder as a zip file, without what Python leaves behind in it."""
    if not folder.is_dir():
        raise PackagingError(f"{folder} is to be packaged, but is not a folder.")
    return _zip(dict(_files(folder, "")))


def zip_layer(folder: Path) -> bytes:
    """Return a Python layer's folder as `sam build` would lay it out, dependencies as a list of paths."""
    entries = dict(_files(folder, "python/"))
    paths = local_packages(folder / "requirements.txt")
    entries[LOCAL_PACKAGES] = "".join(f"{path}\n" for path in paths).encode()
    return _zip(entries)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part == "__pycache__" or part.startswith(".") for part in parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield prefix + "/".join(parts), path.read_bytes()


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, content)
    return buffer.getvalue()


def read_requirements(path: Path) -> list[Requirement]:
    """Return the requirements written in the file itself; options and included files are refused."""
    lines = (line.split(" #", 1)[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    wanted = [line for line in lines if line and not line.startswith("#")]
    options = [line for line in wanted if line.startswith("-")]
    if options:
        raise PackagingError(f"{path} has the option {options[0]!r}; a layer's requirements must stand by themselves.")
    return [Requirement(line) for line in wanted]


def local_packages(requirements: Path) -> list[Path]:
    """Return where the requirements' distributions, and all that they need, lie in this environment."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = read_requirements(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (requirement.marker and not requirement.marker.evaluate()) or name in found:
            continue
        found[name] = _installed(requirement, requirements)
        waiting += _needed_by(found[name], requirement.extras)
    return sorted({path for distribution in found.values() for path in _top_levels(distribution)})


def _installed(requirement: Requirement, source: Path) -> importlib.metadata.Distribution:
    try:
        distribution = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError as error:
        raise PackagingError(
            f"{source} needs {requirement}, which is not installed here. Set the environment up again."
        ) from error
    if not requirement.specifier.contains(distribution.version, prereleases=True):
        raise PackagingError(
            f"{source} needs {requirement}, but {distribution.version} is installed here. Set the environment up again."
        )
    return distribution


def _needed_by(distribution: importlib.metadata.Distribution, extras: set[str]) -> Iterator[Requirement]:
    for text in distribution.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None:
            yield requirement
        elif any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            requirement.marker = None
            yield requirement


def _top_levels(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    files = distribution.files
    if not files:
        raise PackagingError(f"{distribution.name} does not say which files it brought; install it from a wheel.")
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        path = Path(str(distribution.locate_file(top))).resolve()
        if not path.exists():
            raise PackagingError(f"{distribution.name} should have brought {path}, which is not there.")
        yield path
