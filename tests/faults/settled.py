"""What must have come true once faults have stopped: everything is copied, and nothing is left over."""

from __future__ import annotations

import json

from rdbkeeper.domain.backup import BackupState
from rdbkeeper.domain.rule import Rule, RuleState
from rdbkeeper.ports import Upload
from tests.faults.fault import OF_ONE_BACKUP, PASSING, Fault, Kind
from tests.faults.injector import SECRET
from tests.faults.oracles import Violation
from tests.faults.settled_at_rest import check_at_rest, find_worthwhile
from tests.faults.settled_on_demand import check_taken
from tests.faults.world import World


def find_copyable(world: World, rule: Rule) -> set[str]:
    """The ids of the copies that a run of the rule can make or find now."""
    instance = None if rule.is_live else world.the_source.find_instance(rule.instance)
    is_run = rule.state is RuleState.ACTIVE or (rule.state is RuleState.PAUSED and world.request.on_request)
    if not is_run or instance is None or not instance.available:
        return set()
    stuck = world.the_source.stuck
    copyable = {
        backup.copy_id
        for backup in world.the_source.backups(instance)
        if backup.state is BackupState.COMPLETE
        and backup.taken_at is not None
        and world.truth[backup.copy_id].is_whole
        and backup.backup_id not in stuck
    }
    return copyable & find_worthwhile(world, rule, copyable)


def find_missing(world: World) -> set[str]:
    """The copies that could be there and are not, of every rule."""
    missing = set()
    for rule in world.tables.rules.rules():
        there = {entry.copy_id for entry in world.the_vault.catalog(rule.place.path).entries}
        missing |= find_copyable(world, rule) - there
    return missing


def check_the_faulty_run(world: World) -> None:
    """What a fault may have kept from being copied until the next fire: nothing, or the one backup that it befell."""
    struck = world.injector.struck
    if not struck:
        return
    check_taken(world)
    asked_for = {backup.copy_id for backup in world.oracles.on_demand.requested.values()}
    # What arrived, or was complete only after the run had looked, may wait.
    missing = {copy_id for copy_id in find_missing(world) - asked_for if "-new-" not in copy_id}
    if not missing:
        return
    if all(fault.kind in PASSING for fault, _, _ in struck):
        raise Violation(f"a passing fault kept {sorted(missing)} from being copied")
    if all(_may_cost(fault) for fault, _, _ in struck):
        subjects = " ".join(subject for _, _, subject in struck)
        others = {copy_id for copy_id in missing if not _is_in(copy_id, world, subjects)}
        befell_one = all(_is_of_a_backup(call) for _, call, _ in struck)
        world.oracles.check(not befell_one or not others, f"one bad backup kept {sorted(others)} from being copied")


def _may_cost(fault: Fault) -> bool:
    return fault.kind in PASSING or fault.kind in OF_ONE_BACKUP


def _is_of_a_backup(call: str) -> bool:
    return call in (
        "source.request_export",
        "source.find_staged_files",
        "source.open_range",
        "source.discard_export",
        "vault.find_object",
        "vault.open_range",
        "vault.create_object",
        "vault.open_upload",
        "vault.put_part",
        "vault.complete_upload",
        "vault.remove_object",
        "vault.read_object",
        "vault.find_objects",
        "vault.find_lock",
        "vault.lock_object",
        "runs.remember_uploads",
        "runs.count_attempt",
        "runs.forget_attempts",
    )


def _is_in(copy_id: str, world: World, subjects: str) -> bool:
    """Whether the calls that faults befell were about this backup: by its id, its copy's, or its export's name."""
    backup_id = world.truth[copy_id].backup.backup_id
    attempts = [attempt for attempt, of_copy in world.oracles.attempts.items() if of_copy == copy_id]
    return any(name in subjects for name in (copy_id, f"'{backup_id}'", *attempts))


def settle(world: World) -> None:
    """Let quiet days pass, mostly one or two. Raises Violation unless all has come true by then."""
    world.end_people()
    for more in range(_count_disappointments(world), -1, -1):
        world.quiet_tick()
        try:
            check_settled(world)
        except Violation:
            if not more:
                raise
            world.note("took a second quiet run")
        else:
            return


def _count_disappointments(world: World) -> int:
    """How many quiet runs may be needed beyond the first.

    Where a retention keeps few copies, a backup that turns out to be damaged, or to have no sum, stood in the way of an
    older one until it was tried: each costs a run.
    """
    if all(rule.retention.keeps_everything for rule in world.tables.rules.rules()):
        return 1
    return 1 + sum(not (true.is_whole and true.has_crc) for true in world.truth.values())


def check_settled(world: World) -> None:
    """Raise Violation unless all that can be copied is, and nothing that runs put down is left."""
    oracles, tables = world.oracles, world.tables
    missing = find_missing(world)
    oracles.check(not missing, f"not copied in two quiet runs: {sorted(missing)}")
    oracles.check_removals()
    _check_uploads(world)
    for rule in tables.rules.rules():
        _check_rule(world, rule)
        if rule.state is not RuleState.DELETING:
            check_at_rest(world, rule)
    oracles.on_demand.check_settled()
    oracles.on_demand.check_made()
    texts: list[object] = [*tables.status_records.values(), *tables.histories.values()]
    texts += [*tables.freeze_records.values(), *tables.made_records.values()]
    oracles.check(SECRET not in json.dumps(texts), "a signed link stands in the table")
    _check_staging(world)


def _check_uploads(world: World) -> None:
    """No upload is open in the present place of a rule.

    What was opened in a place that its rule has left, or by a rule that is being deleted, and could not be put on
    record because the process died there, is the bucket's lifecycle rule's.
    """
    rules = [rule for rule in world.tables.rules.rules() if rule.state is not RuleState.DELETING]
    on_record = {upload for rule in rules for upload in world.tables.runs.remembered_uploads(rule.name)}
    is_listed = world.the_vault.capabilities.lists_uploads
    for upload_id, (key, _) in world.the_vault.uploads.items():
        is_in_place = is_listed and any(key.startswith(rule.place.path) for rule in rules)
        is_known = Upload(key, upload_id) in on_record
        world.oracles.check(not is_in_place and not is_known, f"an upload of {key} is left open")
        world.note("upload left to the lifecycle rule")


def _check_rule(world: World, rule: Rule) -> None:
    oracles, tables = world.oracles, world.tables
    if rule.state is RuleState.DELETING:
        return  # who deletes it gives up its uploads and strikes off its rows
    oracles.check(rule.name not in tables.leases, f"the lease of {rule.name} is still held")
    oracles.check(not tables.uploads.get(rule.name), f"uploads of {rule.name} are still on record")
    left = [attempt for attempt in tables.attempts if attempt[0] == rule.name]
    oracles.check(not left, f"begun legs of {rule.name} are still on record")
    for text in tables.histories.get(rule.name, {}).values():
        report = json.loads(text)
        oracles.check(report["state"] != "going", f"the run {report['run']} is told to be going and is over")
    copies = {entry.copy_id for entry in world.the_vault.catalog(rule.place.path).entries}
    if rule.is_live and world.runs_by_itself(rule):
        newest = f"{world.ticked_at:%Y%m%dT%H%M%SZ}"
        oracles.check(any(copy_id >= newest for copy_id in copies), f"{rule.name} has no copy of the newest run")
    copyable = find_copyable(world, rule)
    for key in world.the_vault.objects:
        if key.endswith(".rdb") and key.startswith(rule.place.path):
            copy_id = key.split("/")[-2]
            oracles.check(copy_id in copies or copy_id not in copyable, f"{key} lies there without a manifest")


def _check_staging(world: World) -> None:
    """Staged files are only left to the bucket's lifecycle rule by a run that was cut off, failed whole or said so."""
    if not world.the_source.staged:
        return
    rules = world.tables.rules.rules()
    if any(world.find_instance(rule) is None for rule in rules):
        return
    told = ("StagedFilesLeft", "RunEndedEarly", "RunFailed", "NotHandedOver")
    if any(event in world.counts for event in told):
        return
    struck = world.injector.struck
    if any(fault.kind is Kind.DEFECT and call == "source.discard_export" for fault, call, _ in struck):
        return
    if "handed over" in world.counts and (struck or "RunIsGoing" in world.counts):
        return  # a successor that must not, or need not, go on with an export leaves it
    all_ended_well = all(execution.ended_well for execution in world.executions.all.values())
    world.oracles.check(not all_ended_well, f"staged files are left: {sorted(world.the_source.staged)}")
