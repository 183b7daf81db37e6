"""Bugs in keeping copies: in removing them, in reading them again, in locking them, and in tidying up."""

from __future__ import annotations

from tests.faults.fault import Kind
from tests.faults.planted.bug import Change, Hint, PlantedBug, Promise

_REMOVAL = "flows/copies/removal.py"
_RETAIN = "flows/runs/retain.py"
_DECIDE = "domain/retention_plan.py"
_CLEAN_UP = "flows/runs/clean_up.py"
_AUDIT = "flows/runs/audit_copy.py"
_CHECK = "flows/copies/check.py"
_LOCKS = "flows/runs/locks.py"
_HOLDING = Hint("the_last_copy_is_kept", (Kind.COPY_HELD,))
_DATA_KEYS = "keys = _read_data_keys(vault, path, entry.copy_id, manifests)"
_NO_LAST_VERIFIED = Change(
    _DECIDE,
    "if entry.level is Level.VERIFIED and not self._verified.count_newer(entry.copy_id):",
    "if not entry:",
)
_NO_SECOND_LOOK = Change(
    _REMOVAL, "if vault.find_object(mark_key(path, Mark.HOLD, plan.copy_id)) is not None:", "if not path:"
)

KEEPING = (
    # ------------------------------------------------------------ removing
    PlantedBug(
        "data go before their manifest",
        Promise.REMOVAL,
        Change(
            _REMOVAL,
            "stopped = _take_manifests(vault, path, plan, is_needed)",
            "_remove_objects(vault, path, plan, journal); stopped = _take_manifests(vault, path, plan, is_needed)",
        ),
    ),
    PlantedBug(
        "copies are removed without a plan",
        Promise.REMOVAL,
        Change(_REMOVAL, "plan = _write_plan(vault, path, plan)", "pass"),
    ),
    PlantedBug(
        "a plan leaves out a copy's data",
        Promise.EXACT,
        Change(_REMOVAL, "objects=plan_objects([*listed, *marks])", "objects=plan_objects(marks)"),
    ),
    PlantedBug(
        "a plan goes before what it names",
        Promise.REMOVAL,
        Change(
            _REMOVAL,
            "return stopped or _remove_objects(",
            "_drop_plan(vault, path, plan); return stopped or _remove_objects(",
        ),
    ),
    PlantedBug(
        "all that lies below a copy's id goes with it",
        Promise.REMOVAL,
        Change(
            _REMOVAL,
            " if found.key in keys]",
            "]",
            below="keys = _read_data_keys(vault, path, entry.copy_id, manifests)",
        ),
    ),
    PlantedBug(
        "a hold is not looked for again once the plan is written",
        Promise.STAYS,
        _NO_SECOND_LOOK,
        _HOLDING,
    ),
    PlantedBug(
        "locks are not read before removing",
        Promise.STAYS,
        Change(_REMOVAL, "if not vault.capabilities.locks:", "if vault.capabilities:"),
    ),
    PlantedBug(
        "a lock counts for a manifest alone",
        Promise.STAYS,
        Change(_REMOVAL, "_find_lock(vault, [*manifests, *listed], wish.at)", "_find_lock(vault, manifests, wish.at)"),
    ),
    PlantedBug(
        "a lock that is over counts still",
        Promise.EXACT,
        Change(_REMOVAL, "is not None and lock.holds(now)]", "is not None]"),
    ),
    PlantedBug(
        "the mark of damage outlives its copy",
        Promise.EXACT,
        Change(_REMOVAL, "return [found for found in vault.find_objects(key) if found.key == key]", "return []"),
    ),
    PlantedBug(
        "a removal is finished although the manifest is there",
        Promise.REMOVAL,
        Change(_REMOVAL, "if _find_manifests(vault, path, copy_id):", "if not path:", below="return None"),
    ),
    PlantedBug(
        "unfinished removals are dropped and what is left of them stays",
        Promise.EXACT,
        Change(
            _REMOVAL,
            "outcome = _remove_objects(vault, path, plan, journal)",
            "_drop_plan(vault, path, plan); return None",
        ),
    ),
    PlantedBug(
        "nobody finishes a removal",
        Promise.EXACT,
        Change(_CLEAN_UP, "if catalog.unfinished_removals:", "if not catalog:"),
    ),
    # ------------------------------------------------------------ retention
    PlantedBug(
        "nothing is ever removed",
        Promise.EXACT,
        Change(_RETAIN, "if not one.keeps]", "if not one]"),
    ),
    PlantedBug(
        "everything may go",
        Promise.STAYS,
        Change(_DECIDE, "if not self._any.count_newer(entry.copy_id) else ()", "if not entry else ()"),
        also=Change(
            _DECIDE,
            "if entry.level is Level.VERIFIED and not self._verified.count_newer(entry.copy_id):",
            "if not entry:",
        ),
    ),
    PlantedBug(
        "the last verified copy may go",
        Promise.STAYS,
        Change(
            _DECIDE,
            "if entry.level is Level.VERIFIED and not self._verified.count_newer(entry.copy_id):",
            "if not entry:",
        ),
    ),
    PlantedBug(
        "an unchecked copy counts as a verified one",
        Promise.STAYS,
        Change(_DECIDE, "if entry.level is Level.VERIFIED and not self", "if not self"),
        also=Change(_DECIDE, "entry.level is Level.VERIFIED]", "entry.level]"),
    ),
    PlantedBug(
        "a damaged copy counts for another one",
        Promise.STAYS,
        Change(_DECIDE, "if not entry.is_damaged]", "if entry]"),
    ),
    PlantedBug(
        "holds are not heeded",
        Promise.STAYS,
        Change(_DECIDE, "if why or entry.is_held:", "if why:"),
        also=Change(
            _REMOVAL, "if vault.find_object(mark_key(path, Mark.HOLD, plan.copy_id)) is not None:", "if not path:"
        ),
    ),
    PlantedBug(
        "what the rule said before is forgotten at once",
        Promise.STAYS,
        Change(_RETAIN, "retentions = fresh.retentions_in_force(now)", "retentions = (fresh.retention,)"),
        also=Change(
            _RETAIN, "in_force = fresh.retentions_in_force(self.context.clock.now())", "in_force = (fresh.retention,)"
        ),
    ),
    PlantedBug(
        "what the rule said before is kept for ever",
        Promise.EXACT,
        Change("domain/rule.py", "for one in self.outgoing if one.until > now))", "for one in self.outgoing))"),
    ),
    PlantedBug(
        "a rule that keeps everything removes all but one",
        Promise.STAYS,
        Change(_DECIDE, "if not retentions or retentions[0].keeps_everything:", "if not retentions:"),
        also=Change(
            _DECIDE, "all_stay = any(retention.keeps_everything for retention in retentions)", "all_stay = False"
        ),
    ),
    PlantedBug(
        "retention goes on while the rule is overdue",
        Promise.STAYS,
        Change(_RETAIN, "waits = self._find_reason_to_wait(decided)", 'waits = ""'),
    ),
    PlantedBug(
        "copies go although another stack has taken the place over",
        Promise.STAYS,
        Change(_RETAIN, "self._check_claim(vault, rule)", "pass"),
    ),
    PlantedBug(
        "copies go although their source has gone meanwhile",
        Promise.STAYS,
        Change(_RETAIN, "if self.context.find_instance(rule) is None:", "if not rule:"),
    ),
    PlantedBug(
        "the keepers are not looked at",
        Promise.STAYS,
        Change(_RETAIN, "find_absence(vault, rule.place.path, keeper)) is not None", "None) is not None"),
    ),
    PlantedBug(
        "the keepers are looked at once and never again",
        Promise.STAYS,
        Change(
            _RETAIN,
            "is_needed=lambda: not all(is_staying(vault, path, keeper) for keeper in keepers),",
            "is_needed=lambda: not vault,",
        ),
        Hint("the_last_copy_is_kept", (Kind.COPY_DELETED,)),
    ),
    PlantedBug(
        "a rule that was widened is not read again",
        Promise.STAYS,
        Change(_RETAIN, "fresh = self._read_rule(decided.rule)", "fresh = decided.rule"),
        Hint("the_last_copy_is_kept", (Kind.RETENTION_WIDENED,)),
    ),
    PlantedBug(
        "what retention would not keep is copied",
        Promise.EXACT,
        Change("domain/selection.py", "elif copy_id in known.not_kept:", "elif not copy_id:"),
    ),
    PlantedBug(
        "what a person removed is fetched again",
        Promise.WANTED,
        Change("domain/selection.py", "elif copy_id in known.removed:", "elif not copy_id:"),
        Hint("copies_of_every_standing", (Kind.COPY_DELETED,)),
    ),
    # ------------------------------------------------------------ tidying up
    PlantedBug(
        "fragments that are younger than a day are removed",
        Promise.REMOVAL,
        Change(_CLEAN_UP, "any(one.written_at > oldest_to_stay for one in found)", "not found"),
    ),
    PlantedBug(
        "fragments are left for ever",
        Promise.NOTHING_LEFT,
        Change(_CLEAN_UP, "for copy_id in orphans:", "for copy_id in orphans[:0]:"),
    ),
    PlantedBug(
        "another stack's upload is given up at once",
        Promise.OTHERS,
        Change(
            _CLEAN_UP,
            "found = self.context.vault(rule).find_uploads(path, before)",
            "found = self.context.vault(rule).find_uploads(path)",
        ),
    ),
    PlantedBug(
        "staged files of earlier runs are left",
        Promise.NOTHING_LEFT,
        Change(_CLEAN_UP, '("staged files", partial(self._discard_staged_files, rule, instance)),', ""),
    ),
    # ---------------------------------------------------------------- audits
    PlantedBug(
        "an audit tells of a check that it did not make",
        Promise.PROVEN,
        Change(_AUDIT, "while not check.is_done(position):", "while not check:"),
    ),
    PlantedBug(
        "one reading alone calls a copy damaged",
        Promise.PROVEN,
        Change(
            _CHECK,
            "sha256, sums = self._read_part(file, etag, number)",
            "pass",
            below="if sha256 != file.part_sha256[number - 1]:",
        ),
        Hint("copies_that_are_due_for_an_audit", (Kind.FLIP_MIDWAY,)),
    ),
    PlantedBug(
        "a store that does not answer makes a copy damaged",
        Promise.PROVEN,
        Change(
            _AUDIT,
            "return AuditedCopy(progress=None if position == Position() else position, error=error)",
            "return self._settle(entry, position.found([Finding(Fault.MANIFEST, '', str(error))]), 0)",
        ),
        Hint("copies_that_are_due_for_an_audit", (Kind.UNAVAILABLE, Kind.DENIED)),
    ),
    PlantedBug(
        "damage is not put down",
        Promise.PROVEN,
        Change(_AUDIT, "is_new = self._mark(entry, position)", "is_new = True"),
    ),
    PlantedBug(
        "a copy that is whole again stays marked",
        Promise.PROVEN,
        Change(_AUDIT, "self._remove_mark(entry)", "pass", below="if entry.is_damaged:"),
    ),
    PlantedBug(
        "checks are not put down",
        Promise.PROVEN,
        Change(
            _AUDIT, "self.context.runs.record_check(self.rule.name, entry.copy_id, self.context.clock.now())", "pass"
        ),
    ),
    PlantedBug(
        "checks of copies that are gone stay on record",
        Promise.NOTHING_LEFT,
        Change("flows/runs/audit.py", "context.runs.forget_checks(rule.name, gone)", "pass"),
        also=Change(_RETAIN, "self.context.runs.forget_checks(rule.name, copy_ids)", "pass"),
    ),
    # ----------------------------------------------------------------- locks
    PlantedBug(
        "the manifest alone is locked",
        Promise.STAYS,
        Change(_LOCKS, "vault.lock_object(file.key, until)", "pass"),
    ),
    PlantedBug(
        "the manifest is locked before its data",
        Promise.STAYS,
        Change(
            _LOCKS,
            "until = published_at + timedelta(days=vault.lock_days)",
            "until = published_at + timedelta(days=vault.lock_days); "
            "vault.lock_object(manifest_key(rule.place.path, manifest.copy_id, manifest.level), until)",
        ),
    ),
    PlantedBug(
        "a lock that could not be set is never set",
        Promise.CONVERGES,
        Change(_LOCKS, "since = now - LOOKED_AT_FOR - (rule.cycle.longest_gap(now) or timedelta())", "since = now"),
        Hint("a_vault_that_locks", (Kind.DENIED, Kind.CRASH_AFTER)),
    ),
    PlantedBug(
        "a file whose tag is not that of its parts is taken for ours",
        Promise.IDENTICAL,
        Change(
            "flows/runs/publish.py",
            "is_ours, check = stored.etag == _expected_etag(file), STORE_CHECKS[StoreSum.PART_MD5]",
            "is_ours, check = True, STORE_CHECKS[StoreSum.PART_MD5]",
        ),
    ),
    PlantedBug(
        "what a store without sums holds is never read back",
        Promise.CONVERGES,
        Change(
            "flows/runs/run.py",
            "moved = legs.copy(self._complete_to_read_back(legs, export, moved))",
            "moved = self._complete_to_read_back(legs, export, moved)",
        ),
    ),
)
