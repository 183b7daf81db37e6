"""What the Lambda service refuses and moto accepts, for a function's configuration and its code."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zipfile
from collections.abc import Collection
from typing import Any

from tests.local_cloud.lambda_api import LambdaError, invalid

# Python only: other runtimes exist in the service, and nothing here could run them.
RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
DURABLE_RUNTIMES = ("python3.13", "python3.14")
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
MAX_UNZIPPED_BYTES = 262_144_000
MAX_ENVIRONMENT_BYTES = 4096
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[A-Za-z0-9_+=,.@/-]+")
_HANDLER = re.compile(r"\S{1,128}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_LOG_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_ALIAS = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]{1,128}")
_VERSION = re.compile(r"\$LATEST|[0-9]+")
_TAG = re.compile(r"[\w\s.:/=+@-]*")
MAX_TAGS = 50
# What a function's configuration may say; another field would be taken here and have no effect.
_CHANGEABLE = frozenset(
    {
        "Description",
        "DurableConfig",
        "Environment",
        "EphemeralStorage",
        "Handler",
        "KMSKeyArn",
        "Layers",
        "LoggingConfig",
        "MemorySize",
        "Role",
        "Runtime",
        "Timeout",
        "TracingConfig",
        "VpcConfig",
    }
)
_OF_NEW = _CHANGEABLE | {"Architectures", "Code", "FunctionName", "PackageType", "Publish", "Tags"}
# Of each kind of a network's parts: the form of its ids, and how many a function can have.
_NETWORK = {"SubnetIds": (re.compile(r"subnet-[0-9a-z]+"), 16), "SecurityGroupIds": (re.compile(r"sg-[0-9a-zA-Z]+"), 5)}
_APPLICATION_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SYSTEM_LEVELS = ("DEBUG", "INFO", "WARN")


def check_new_function(body: dict[str, Any]) -> None:
    """Raise when the service would refuse to create this function."""
    if not _NAME.fullmatch(body.get("FunctionName", "")):
        raise invalid(f"FunctionName {body.get('FunctionName')!r}: 1 to 64 of A-Z, a-z, 0-9, - and _ can be.")
    for field in ("Role", "Handler", "Runtime"):
        if not body.get(field):
            raise invalid(f"{field} is missing; a function from a zip archive needs it.")
    _refuse_unknown(body, _OF_NEW)
    _check_choice(body, "PackageType", ("Zip",))
    check_architectures(body)
    check_tags(body.get("Tags") or {})
    _check_configuration(body)
    if "DurableConfig" in body:
        check_durable_config(body["DurableConfig"], body["Runtime"])


def check_changes(body: dict[str, Any]) -> None:
    """Raise when the service would refuse these changes to a function's configuration."""
    _refuse_unknown(body, _CHANGEABLE | {"RevisionId"})
    _check_configuration(body)


def check_architectures(body: dict[str, Any]) -> None:
    """Raise when the processors that the code is for, as far as they are given, cannot be."""
    if "Architectures" in body and body["Architectures"] not in (["x86_64"], ["arm64"]):
        raise invalid(f"Architectures {body['Architectures']!r} is neither [x86_64] nor [arm64].")


def check_tags(tags: dict[str, str]) -> None:
    """Raise when these cannot be a function's tags."""
    if len(tags) > MAX_TAGS:
        raise invalid(f"Tags: {len(tags)} are given, a function can have {MAX_TAGS}.")
    for key, value in tags.items():
        if not (1 <= len(key) <= 128 and len(value) <= 256 and _TAG.fullmatch(key) and _TAG.fullmatch(value)):
            raise invalid(f"Tags: {key!r} with the value {value!r} cannot be a tag.")
        if key.lower().startswith("aws:"):
            raise invalid(f"Tags: {key!r} begins with aws:, which only AWS's own do.")


def _refuse_unknown(body: dict[str, Any], known: Collection[str]) -> None:
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise invalid(f"The local cloud keeps no {', '.join(unknown)} of a function. Teach it, or leave that out.")


def _check_configuration(body: dict[str, Any]) -> None:
    runtime = body.get("Runtime")
    if runtime is not None and runtime not in RUNTIMES:
        raise invalid(f"Runtime {runtime!r} is none of {', '.join(RUNTIMES)}.")
    _check_shape(body, "Role", _ROLE)
    _check_shape(body, "Handler", _HANDLER)
    _check_range(body, "Timeout", 1, 900)
    _check_range(body, "MemorySize", 128, 10_240)
    if len(body.get("Description") or "") > 256:
        raise invalid("Description has more than 256 characters.")
    if len(body.get("Layers") or ()) > 5:
        raise invalid("Layers: a function can have five.")
    _check_choice(body.get("TracingConfig") or {}, "Mode", ("Active", "PassThrough"))
    _check_range(body.get("EphemeralStorage") or {}, "Size", 512, 10_240)
    _check_network(body.get("VpcConfig") or {})
    _check_environment((body.get("Environment") or {}).get("Variables") or {})
    _check_logging(body.get("LoggingConfig") or {})


def _check_network(config: dict[str, Any]) -> None:
    unknown = set(config) - set(_NETWORK)
    if unknown:
        raise invalid(f"VpcConfig: the local cloud keeps no {', '.join(sorted(unknown))}.")
    for field, (shape, most) in _NETWORK.items():
        ids = config.get(field) or []
        if len(ids) > most:
            raise invalid(f"VpcConfig.{field}: {len(ids)} are given, a function can have {most}.")
        for one in ids:
            if not shape.fullmatch(one):
                raise invalid(f"VpcConfig.{field}: {one!r} does not have the form {shape.pattern}.")
    if bool(config.get("SubnetIds")) != bool(config.get("SecurityGroupIds")):
        raise invalid("VpcConfig: SubnetIds and SecurityGroupIds go together, or are both empty.")


def check_durable_config(config: dict[str, Any], runtime: str) -> None:
    """Raise when these durable settings cannot be."""
    unknown = set(config) - {"ExecutionTimeout", "RetentionPeriodInDays"}
    if unknown:
        raise invalid(f"DurableConfig: the local cloud keeps no {', '.join(sorted(unknown))}.")
    if runtime not in DURABLE_RUNTIMES:
        raise invalid(f"DurableConfig: functions of {runtime} cannot be durable, {', '.join(DURABLE_RUNTIMES)} can.")
    if "ExecutionTimeout" not in config:
        raise invalid("DurableConfig.ExecutionTimeout is missing.")
    _check_range(config, "ExecutionTimeout", 1, 31_622_400)
    _check_range(config, "RetentionPeriodInDays", 1, 90)


def check_alias(name: object, version: object) -> None:
    """Raise when this cannot be an alias's name, or the version not one that an alias can point to."""
    if name is not None and not _ALIAS.fullmatch(str(name)):
        raise invalid(f"Alias {name!r}: letters, digits, - and _ can be, but not digits alone.")
    if version is not None and not _VERSION.fullmatch(str(version)):
        raise invalid(f"FunctionVersion {version!r} is neither a version's number nor $LATEST.")


def page_size(asked: str | None, most: int) -> int:
    """Return how many items a page gets when so many were asked for; raises when that is no number of items."""
    if asked is None:
        return most
    if not asked.isdigit() or not 1 <= int(asked) <= 10_000:
        raise invalid(f"MaxItems is {asked}; 1 to 10,000 can be.")
    return min(int(asked), most)


def check_archive(archive: bytes) -> None:
    """Raise when this is not a zip archive that the service would take."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as content:
            unzipped_bytes = sum(entry.file_size for entry in content.infolist())
            broken = content.testzip()
    except zipfile.BadZipFile as error:
        raise invalid(f"The code cannot be unzipped: {error}.") from error
    if broken:
        raise invalid(f"The code cannot be unzipped: {broken} is damaged.")
    if unzipped_bytes > MAX_UNZIPPED_BYTES:
        raise invalid(f"Unzipped, the code has {unzipped_bytes:,} bytes; {MAX_UNZIPPED_BYTES:,} are allowed.")


def decode_archive(encoded: str) -> bytes:
    """Return the archive of a request's ZipFile; raises when it is too large to be sent this way."""
    try:
        archive = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise invalid(f"ZipFile is not Base64: {error}.") from error
    if len(archive) > MAX_UPLOAD_BYTES:
        message = f"ZipFile has {len(archive):,} bytes; {MAX_UPLOAD_BYTES:,} can be sent, more only through a bucket."
        raise LambdaError("RequestTooLargeException", message)
    return archive


def complete_logging(config: dict[str, Any], function_name: str) -> dict[str, str]:
    """Return a LoggingConfig with what the service fills in."""
    complete = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function_name}"} | config
    if complete["LogFormat"] == "JSON":
        return {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} | complete
    return complete


def _check_environment(variables: dict[str, str]) -> None:
    reserved = sorted(RESERVED_VARIABLES & variables.keys())
    if reserved:
        raise invalid(f"Environment: {', '.join(reserved)} is set by the service and cannot be given.")
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise invalid(f"Environment: {name!r} cannot name a variable.")
    size_bytes = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size_bytes > MAX_ENVIRONMENT_BYTES:
        raise invalid(f"Environment has {size_bytes:,} bytes as JSON; {MAX_ENVIRONMENT_BYTES:,} are allowed.")


def _check_logging(config: dict[str, Any]) -> None:
    _check_choice(config, "LogFormat", ("JSON", "Text"))
    _check_choice(config, "ApplicationLogLevel", _APPLICATION_LEVELS)
    _check_choice(config, "SystemLogLevel", _SYSTEM_LEVELS)
    _check_shape(config, "LogGroup", _LOG_GROUP)
    if config.get("LogFormat") == "Text" and ("ApplicationLogLevel" in config or "SystemLogLevel" in config):
        raise invalid("LoggingConfig: levels can be given with LogFormat JSON only.")


def _check_choice(body: dict[str, Any], field: str, choices: Collection[str]) -> None:
    if field in body and body[field] not in choices:
        raise invalid(f"{field} {body[field]!r} is none of {', '.join(choices)}.")


def _check_shape(body: dict[str, Any], field: str, shape: re.Pattern[str]) -> None:
    if body.get(field) is not None and not shape.fullmatch(str(body[field])):
        raise invalid(f"{field} {body[field]!r} does not have the form {shape.pattern}.")


def _check_range(body: dict[str, Any], field: str, least: int, most: int) -> None:
    value = body.get(field)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
        raise invalid(f"{field} is {value!r}; {least:,} to {most:,} can be.")
