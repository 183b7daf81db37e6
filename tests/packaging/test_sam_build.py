"""`sam build` makes what Lambda needs: the handlers, and a layer from which they can be imported."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.local_cloud.code_packages import read_requirements
from tests.packaging.runtime_python import CACHE_TAG, find_python
from tests.packaging.template import REPOSITORY, of_type

SOURCES = ("template.yaml", "samconfig.toml", "functions", "layers")
MAX_LAYER_BYTES = 250 * 1024 * 1024  # "Lambda quotas": all layers and the code together, unzipped
# The second word of a compiled file: made for a hash of its source, which is never looked at (PEP 552).
UNCHECKED = 0b01
SAMS_DATE = 315532800  # 1980-01-01, what `sam package` gives to every file

IMPORT_HANDLERS = """
import importlib, platform, sys, types
sys.path[:0] = sys.argv[1:]
if platform.machine() not in ("aarch64", "arm64"):
    # The layer's anycrc is native code for arm64 and cannot be loaded here. Everything else is the layer's own.
    sys.modules["anycrc"] = types.SimpleNamespace(Model=lambda name: None)
for name in ("run_rule.app", "copy_leg.app", "manage_rules.app", "reconcile_rules.app"):
    assert callable(importlib.import_module(name).handler)
import botocore, boto3, croniter, redis, rdbkeeper.entry.wiring, rdbkeeper.aws.fleet
import rdbkeeper.sources.elasticache.source, rdbkeeper.vaults.s3
"""


def find_sam() -> list[str] | None:
    own = REPOSITORY / ".venv-lint" / "bin" / "python"
    if own.exists() and subprocess.run([own, "-c", "import samcli"], check=False, capture_output=True).returncode == 0:
        return [str(own), "-m", "samcli"]
    on_path = shutil.which("sam")
    return [on_path] if on_path else None


@pytest.fixture(scope="module")
def python() -> str:
    found = find_python()
    if found is None:
        pytest.skip("sam build: no python3.13 on PATH, which is the runtime's and which `sam build` needs")
    return found


@pytest.fixture(scope="module")
def built(python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    sam = find_sam()
    if sam is None:
        pytest.skip("sam build: no AWS SAM CLI; `make check` sets one up in .venv-lint")
    if shutil.which("make") is None:
        pytest.skip("sam build: no make on PATH, by which the layer is built")
    folder = tmp_path_factory.mktemp("sam build")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    # sam looks for `python3.13` on PATH, by that name.
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "python3.13").symlink_to(Path(python).absolute())
    environment = {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(folder / "sam"),
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
    }
    done = subprocess.run(
        [*sam, "build", "--no-cached"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    yield folder / ".aws-sam" / "build"
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_layer_holds_every_pinned_distribution_and_our_package(built: Path) -> None:
    layer = built / "RdbkeeperLayer" / "python"
    present = {canonicalize_name(path.name.split("-")[0]) for path in layer.glob("*.dist-info")}
    wanted = {
        canonicalize_name(requirement.name)
        for requirement in read_requirements(REPOSITORY / "layers" / "rdbkeeper" / "requirements.txt")
        if requirement.marker is None or requirement.marker.evaluate({"python_full_version": "3.13.0"})
    }
    assert present == wanted
    assert (layer / "rdbkeeper" / "entry" / "wiring.py").is_file()
    assert list((layer / "anycrc").glob("*.so"))
    assert sum(file.stat().st_size for file in layer.rglob("*") if file.is_file()) < MAX_LAYER_BYTES


@pytest.mark.slow
def test_the_functions_can_be_imported_with_the_built_layer_alone(built: Path, python: str) -> None:
    layer = str(built / "RdbkeeperLayer" / "python")
    for function in of_type("AWS::Serverless::Function"):
        command = [python, "-I", "-S", "-B", "-c", IMPORT_HANDLERS, str(built / function.logical_id), layer]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_module_of_the_layer_has_a_compiled_file_that_is_never_checked(built: Path, python: str) -> None:
    layer = built / "RdbkeeperLayer" / "python"
    sources = sorted(layer.rglob("*.py"))
    found = {source.relative_to(layer).parts[0] for source in sources}
    assert found >= {"rdbkeeper", "boto3", "botocore", "aws_durable_execution_sdk_python"}
    wanted = {source.parent / "__pycache__" / f"{source.stem}.{CACHE_TAG}.pyc" for source in sources}
    assert set(layer.rglob("*.pyc")) == wanted
    magic = magic_number(python)
    for compiled in wanted:
        content = compiled.read_bytes()
        assert content[:4] == magic and int.from_bytes(content[4:8], "little") == UNCHECKED, compiled
        assert bytes(built) not in content, f"{compiled} names the folder that it was built in"


@pytest.mark.slow
def test_python_compiles_nothing_of_the_layer_again(built: Path, python: str) -> None:
    layer = built / "RdbkeeperLayer" / "python"
    for source in layer.rglob("*.py"):
        os.utime(source, (SAMS_DATE, SAMS_DATE))
    command = [python, "-I", "-S", "-B", "-v", "-c", IMPORT_HANDLERS, str(built / "RunRuleFunction"), str(layer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    taken = {Path(name.strip("'")) for name in re.findall(r"^# code object from (.+)$", done.stderr, re.MULTILINE)}
    of_the_layer = {path for path in taken if path.is_relative_to(layer)}
    assert layer / "rdbkeeper" / "entry" / "__pycache__" / f"wiring.{CACHE_TAG}.pyc" in of_the_layer
    assert {path.suffix for path in of_the_layer} == {".pyc"}


@pytest.mark.slow
def test_a_functions_own_code_stays_uncompiled(built: Path) -> None:
    # Somebody may mend it in Lambda's console; an unchecked compiled file would go on with what was there before.
    for function in of_type("AWS::Serverless::Function"):
        assert not list((built / function.logical_id).rglob("*.pyc"))


def magic_number(python: str) -> bytes:
    """The first word of what this Python compiles; it takes no other."""
    command = [python, "-c", "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"]
    return bytes.fromhex(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
