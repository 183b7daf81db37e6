"""Shows what could be protected: instances and their backups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rdbkeeper.domain.backup import Backup, Instance
from rdbkeeper.domain.errors import InstanceNotFound
from rdbkeeper.domain.moments import write_moment
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.source import NO_ACCESS, SourceAccess, name_missing
from rdbkeeper.flows.rules.context import RulesContext
from rdbkeeper.ports import Record

KeptBy = Mapping[str, list[Record]]
"""By copy id: the rules in whose places a copy lies, and how far it was checked."""


@dataclass(frozen=True)
class BrowseSources:
    """What providers have. Changes nothing."""

    context: RulesContext

    def instances(self, provider: str, access: SourceAccess = NO_ACCESS) -> Record:
        """Every instance that a rule can name in this region, its backup settings, and the rules that protect it."""
        source = self.context.adapters.source(provider, access)
        instances = sorted(source.instances(), key=lambda instance: instance.name)
        counts = source.count_backups(instances)
        rules = [rule for rule in self.context.rules.rules() if rule.provider == provider]
        return {
            "provider": provider,
            "instances": [_describe_instance(instance, counts, rules) for instance in instances],
        }

    def backups(self, provider: str, name: str, access: SourceAccess = NO_ACCESS) -> Record:
        """An instance's backups, newest first: automatic and manual, their state and size, and who keeps each."""
        source = self.context.adapters.source(provider, access)
        instance = source.find_instance(name)
        if instance is None:
            message, hint = name_missing(provider, name, access)
            raise InstanceNotFound(message, field="instance", hint=hint)
        kept_by = self._find_kept_by(provider, name)
        backups = sorted(
            source.backups(instance), key=lambda backup: (backup.taken_at is None, backup.taken_at), reverse=True
        )
        return {
            "provider": provider,
            "instance": name,
            "backups": [_describe_backup(backup, kept_by) for backup in backups],
        }

    def _find_kept_by(self, provider: str, instance: str) -> KeptBy:
        kept_by: dict[str, list[Record]] = {}
        for rule in self.context.rules.rules():
            if (rule.provider, rule.instance) == (provider, instance):
                for entry in self.context.adapters.vault(rule.vault).catalog(rule.place.path).entries:
                    kept_by.setdefault(entry.copy_id, []).append({"rule": rule.name, "level": entry.level.value})
        return kept_by


def _describe_instance(instance: Instance, counts: Mapping[str, int], rules: list[Rule]) -> Record:
    return {
        "instance": instance.name,
        "engine": instance.engine,
        "status": instance.status,
        "available": instance.available,
        "backups_enabled": instance.backups_enabled,
        "backup_retention_days": instance.backup_retention_days,
        "backup_window": instance.backup_window or None,
        "backup_count": counts.get(instance.name, 0),
        "rules": [rule.name for rule in rules if rule.instance == instance.name],
    }


def _describe_backup(backup: Backup, kept_by: KeptBy) -> Record:
    keepers = kept_by.get(backup.copy_id, []) if backup.taken_at else []
    return {
        "backup_id": backup.backup_id,
        "automatic": backup.automatic,
        "state": backup.state.value,
        "taken_at": write_moment(backup.taken_at) if backup.taken_at else None,
        "files": len(backup.shards) or None,  # some providers tell it only once files can be read
        "source_size": backup.source_size,
        "kept": bool(keepers),
        "kept_by": keepers,
    }
