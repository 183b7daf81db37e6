"""Who may know whom: the arrows point inwards, and walking the imports holds them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "rdbkeeper"
PACKAGE = LAYER / "rdbkeeper"

# room -> the rooms of ours that it may import; a dotted name stands for a single module
ARROWS = {
    "domain": {"domain"},
    "rdb": {"rdb", "domain.errors", "domain.errors.integrity", "domain.sums"},
    "ports": {"ports", "domain"},
    "flows": {"flows", "ports", "domain", "rdb", "__init__"},
    "sources": {"sources", "ports", "domain", "rdb", "aws.errors", "aws.names", "aws.streams"},
    "vaults": {"vaults", "ports", "domain", "rdb", "aws.errors", "aws.names", "aws.streams"},
    "aws": {"aws", "ports", "domain", "rdb"},
    "entry": {"entry", "flows", "ports", "domain"},
    "entry.wiring": {"entry", "flows", "ports", "domain", "vaults", "aws"},
    "entry.source_wiring": {"entry", "ports", "domain", "sources", "aws"},
    # Somebody else's tool, with which a copy is checked where rdbkeeper does not run.
    "verify": {"verify", "flows.copies.check", "flows.runs.pace", "ports", "domain", "rdb", "vaults"},
    "functions": {"entry", "flows", "__init__"},
    "__init__": set(),
}
PURE = {"domain": {"croniter"}, "rdb": {"anycrc"}, "ports": set(), "flows": set()}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py")) + sorted((ROOT / "functions").rglob("app.py"))


def _name(path: Path) -> str:
    if path.is_relative_to(PACKAGE):
        return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return "functions"


def _imports(path: Path) -> set[str]:
    """Every module that a file imports, at the top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {_target(node.module or "", alias.name) for alias in node.names}
    return found


def _target(module: str, name: str) -> str:
    """`from package import module` means the module, `from module import name` the module as well."""
    candidate = LAYER / Path(*module.split("."), f"{name}.py")
    folder = LAYER / Path(*module.split("."), name)
    return f"{module}.{name}" if candidate.exists() or folder.is_dir() else module


def _ours(imported: str) -> str:
    return imported.removeprefix("rdbkeeper").removeprefix(".") or "__init__"


def _allowed(importer: str) -> set[str]:
    room = importer.split(".", maxsplit=1)[0]
    return ARROWS.get(importer, ARROWS.get(room, set()))


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_arrows_point_inwards(path: Path) -> None:
    importer = _name(path)
    for imported in (name for name in _imports(path) if name.split(".")[0] == "rdbkeeper"):
        target = _ours(imported)
        allowed = _allowed(importer)
        assert target in allowed or target.split(".")[0] in allowed, f"{importer} must not import {target}"


@pytest.mark.parametrize("path", [path for path in _modules() if _name(path).split(".")[0] in PURE], ids=_name)
def test_pure_rooms_import_the_standard_library_and_little_else(path: Path) -> None:
    allowed = PURE[_name(path).split(".")[0]] | {"rdbkeeper"}
    foreign = {name.split(".")[0] for name in _imports(path)} - set(sys.stdlib_module_names) - allowed
    assert not foreign


def test_every_room_is_named_in_the_arrows() -> None:
    rooms = {_name(path).split(".")[0] for path in _modules()}
    assert rooms <= set(ARROWS)


def test_files_stay_small_enough_to_hold_in_the_head() -> None:
    long = {_name(path): lines for path in _modules() if (lines := len(path.read_text().splitlines())) > 350}
    assert not long
