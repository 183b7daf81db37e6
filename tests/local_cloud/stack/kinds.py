"""Every type of resource that this project's template uses."""

from __future__ import annotations

from collections.abc import Mapping

from tests.local_cloud.stack.custom import custom_kind, is_custom
from tests.local_cloud.stack.data_kinds import BUCKET, BUCKET_POLICY, LOG_GROUP, TABLE
from tests.local_cloud.stack.lambda_kinds import ALIAS, FUNCTION, LAYER, VERSION
from tests.local_cloud.stack.parts import Kind, Place, Properties, Wanted
from tests.local_cloud.stack.response_desk import ResponseDesk
from tests.local_cloud.stack.role_kinds import MANAGED_POLICY, ROLE
from tests.local_cloud.stack.timer_kinds import ALARM, SCHEDULE, SCHEDULE_GROUP, SUBSCRIPTION, TOPIC
from tests.local_cloud.template_reader import Resource, TemplateError

_KINDS: Mapping[str, Kind] = {
    "AWS::CloudWatch::Alarm": ALARM,
    "AWS::DynamoDB::Table": TABLE,
    "AWS::IAM::ManagedPolicy": MANAGED_POLICY,
    "AWS::IAM::Role": ROLE,
    "AWS::Lambda::Alias": ALIAS,
    "AWS::Lambda::Version": VERSION,
    "AWS::Logs::LogGroup": LOG_GROUP,
    "AWS::S3::Bucket": BUCKET,
    "AWS::S3::BucketPolicy": BUCKET_POLICY,
    "AWS::SNS::Subscription": SUBSCRIPTION,
    "AWS::SNS::Topic": TOPIC,
    "AWS::Scheduler::Schedule": SCHEDULE,
    "AWS::Scheduler::ScheduleGroup": SCHEDULE_GROUP,
    "AWS::Serverless::Function": FUNCTION,
    "AWS::Serverless::LayerVersion": LAYER,
}


class Kinds:
    """Finds the kind of a resource."""

    def __init__(self, desk: ResponseDesk) -> None:
        self._custom = custom_kind(desk)

    def of(self, resource: Resource) -> Kind:
        """Return the resource's kind; raises TemplateError for a type that is unknown here."""
        if is_custom(resource.type):
            return self._custom
        if resource.type not in _KINDS:
            raise TemplateError(
                f"{resource.logical_id} is a {resource.type}, which is not known here. Add a kind for it."
            )
        return _KINDS[resource.type]

    def wanted(self, place: Place, resource: Resource, properties: Properties) -> Wanted:
        """Return what the template wants; raises TemplateError for properties that are missing or unknown."""
        kind = self.of(resource)
        missing = sorted(kind.required - set(properties))
        if missing:
            raise TemplateError(f"{resource.logical_id} lacks {', '.join(missing)}.")
        others = [] if kind.is_open else sorted(set(properties) - kind.known)
        if others:
            raise TemplateError(
                f"{resource.logical_id} has {', '.join(others)}, which is not known here of a {resource.type}."
            )
        noted = place.layer_note and resource.type == "AWS::Serverless::LayerVersion"
        if noted:
            properties = {**properties, "Description": f"{properties.get('Description', '')} ({place.layer_note})"}
        return Wanted(resource, properties, kind.content(place, properties) if kind.content else b"")
