"""A function's settings as Lambda writes them, and as the fleet compares them.

Lambda's answers leave out what a function has none of, or where a default holds; both forms must come out equal, or a
function that was just made would look as if it had drifted. Source: "FunctionConfiguration", "CreateFunction" and
"UpdateFunctionConfiguration" in the Lambda API reference.
"""

from __future__ import annotations

from rdbkeeper.domain.fleet.parts import FunctionSettings
from rdbkeeper.ports import Record

_DEFAULT_TIMEOUT_S = 3
_DEFAULT_MEMORY_MB = 128
_DEFAULT_ARCHITECTURE = "x86_64"
_DEFAULT_EPHEMERAL_STORAGE_MB = 512
_DEFAULT_LOG_FORMAT = "Text"
# Takes a function out of its network ("Giving Lambda functions access to resources in an Amazon VPC").
_OUTSIDE: Record = {"SubnetIds": [], "SecurityGroupIds": []}


def read_settings(configuration: Record) -> FunctionSettings:
    """The settings that a FunctionConfiguration holds, of a function or of a version."""
    durable = configuration.get("DurableConfig") or {}
    logging = configuration.get("LoggingConfig") or {}
    variables = configuration.get("Environment", {}).get("Variables", {})
    network = configuration.get("VpcConfig") or {}
    return FunctionSettings(
        runtime=configuration.get("Runtime", ""),
        role_arn=configuration.get("Role", ""),
        handler=configuration.get("Handler", ""),
        description=configuration.get("Description", ""),
        timeout_s=configuration.get("Timeout", _DEFAULT_TIMEOUT_S),
        memory_mb=configuration.get("MemorySize", _DEFAULT_MEMORY_MB),
        architecture=(configuration.get("Architectures") or [_DEFAULT_ARCHITECTURE])[0],
        ephemeral_storage_mb=configuration.get("EphemeralStorage", {}).get("Size", _DEFAULT_EPHEMERAL_STORAGE_MB),
        layer_arns=tuple(layer["Arn"] for layer in configuration.get("Layers", ())),
        environment=tuple(sorted(variables.items())),
        kms_key_arn=configuration.get("KMSKeyArn", ""),
        subnet_ids=tuple(sorted(network.get("SubnetIds", ()))),
        security_group_ids=tuple(sorted(network.get("SecurityGroupIds", ()))),
        durable_timeout_s=durable.get("ExecutionTimeout", 0),
        durable_retention_days=durable.get("RetentionPeriodInDays", 0),
        log_group=logging.get("LogGroup", f"/aws/lambda/{configuration['FunctionName']}"),
        log_format=logging.get("LogFormat", _DEFAULT_LOG_FORMAT),
        application_log_level=logging.get("ApplicationLogLevel", ""),
        system_log_level=logging.get("SystemLogLevel", ""),
    )


def creation_arguments(settings: FunctionSettings) -> Record:
    """What CreateFunction is told beside name, code and tags; what the function has none of is left out."""
    arguments = {**update_arguments(settings), "Architectures": [settings.architecture]}
    return {name: value for name, value in arguments.items() if value not in ("", [], _OUTSIDE)}


def update_arguments(settings: FunctionSettings) -> Record:
    """What UpdateFunctionConfiguration is told beside the name; what the function has none of is taken away.

    The architecture is not among it: it goes with the code.
    """
    arguments = {
        "Runtime": settings.runtime,
        "Role": settings.role_arn,
        "Handler": settings.handler,
        "Description": settings.description,
        "Timeout": settings.timeout_s,
        "MemorySize": settings.memory_mb,
        "EphemeralStorage": {"Size": settings.ephemeral_storage_mb},
        "Layers": list(settings.layer_arns),
        "Environment": {"Variables": dict(settings.environment)},
        "KMSKeyArn": settings.kms_key_arn,
        "VpcConfig": {
            "SubnetIds": list(settings.subnet_ids),
            "SecurityGroupIds": list(settings.security_group_ids),
        },
        "LoggingConfig": _logging(settings),
    }
    # Only a function that was made durable is; its settings may change ("Configuring Lambda durable functions").
    return {**arguments, "DurableConfig": _durable(settings)} if settings.durable_timeout_s else arguments


def _logging(settings: FunctionSettings) -> Record:
    levels = {
        "ApplicationLogLevel": settings.application_log_level,
        "SystemLogLevel": settings.system_log_level,
    }
    # Levels go with JSON only; without them Lambda sets its own.
    given = {name: level for name, level in levels.items() if level}
    return {"LogFormat": settings.log_format, "LogGroup": settings.log_group, **given}


def _durable(settings: FunctionSettings) -> Record:
    timeout = {"ExecutionTimeout": settings.durable_timeout_s}
    days = settings.durable_retention_days
    return {**timeout, "RetentionPeriodInDays": days} if days else timeout
