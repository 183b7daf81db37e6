"""Clean-up in a run, before its copying: what earlier runs left open or unfinished, by exact key, and reported.

Uploads on record and unfinished removals are looked at in every run; what takes calls of its own is looked for in the
first run of a day.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from rdbkeeper.domain.backup import Instance
from rdbkeeper.domain.catalog import Catalog, FoundObject, find_taken_at
from rdbkeeper.domain.copy import is_data_key
from rdbkeeper.domain.errors import RdbkeeperError
from rdbkeeper.domain.outcome import Status, human_size
from rdbkeeper.domain.removal import RemovalEnd
from rdbkeeper.domain.rule import Rule
from rdbkeeper.domain.status import RunReport
from rdbkeeper.flows.copies.removal import finish_removals, remove_fragment
from rdbkeeper.flows.defects import report_defect
from rdbkeeper.flows.runs.context import RunContext, chain_tag, rule_tag

# What is younger may be another execution's that is at work: none lasts longer than the template's ExecutionTimeout.
LEFT_OVER_AFTER = timedelta(hours=24)
# Data without a manifest are either a fragment or a copy whose manifest somebody took away by mistake. Fragments are
# few, and found within days; whatever else it may be stays.
FRAGMENTS_GO_UNTIL = timedelta(days=30)
MOST_FRAGMENTS = 3
# Of a rule's history, the newest; all in one read.
MOST_PAST_RUNS = 20


@dataclass(frozen=True)
class PastRuns:
    """What a run needs to know of those before it."""

    failed: frozenset[str] = frozenset()  # the ids of the copies that could not be made when they were last tried
    is_first_of_day: bool = True

    @classmethod
    def of(cls, runs: Sequence[RunReport], this_run: str, now: datetime) -> PastRuns:
        """Told by the newest entries of a rule's history; a day is one of UTC."""
        before = next((report for report in runs if report.run != this_run), None)
        if before is None:
            return cls()
        # In a chain each run may have had room for one backup only, so the last one's failures are not all there are.
        last_tried: dict[str, Status] = {}
        for outcome in (outcome for report in runs if report.run != this_run for outcome in report.outcomes):
            if outcome.status in (Status.COPIED, Status.FAILED):
                last_tried.setdefault(outcome.copy_id, outcome.status)
        failed = frozenset(copy_id for copy_id, status in last_tried.items() if status is Status.FAILED)
        return cls(failed, before.started_at.date() < now.date())


@dataclass(frozen=True)
class CleanUp:
    """Removes what earlier runs left. Whatever of it fails is told, and keeps no backup from being copied."""

    context: RunContext

    def end_uploads(self, rule: Rule) -> None:
        """Give up the uploads on record, and those that nobody recorded and that no execution can be using any more."""
        path = rule.place.path
        before = self.context.clock.now() - LEFT_OVER_AFTER
        found = self.context.vault(rule).find_uploads(path, before)
        listed = [upload for upload in found if is_data_key(path, upload.key)]
        remembered = self.context.runs.remembered_uploads(rule.name)
        for upload in self.context.give_up_uploads(rule, list(dict.fromkeys([*remembered, *listed]))):
            self.context.journal.warning("UploadAborted", f"An upload of {upload.key} was left open; it is given up.")
        self.context.runs.forget_all_attempts(rule.name)

    def finish_removals(self, rule: Rule, catalog: Catalog) -> None:
        """Finish the removals that were cut off, or drop them where nothing was removed yet."""
        if catalog.unfinished_removals:
            context = self.context
            finish_removals(context.vault(rule), rule.place.path, catalog, context.clock, context.journal)

    def remove_left_overs(self, rule: Rule, instance: Instance, catalog: Catalog, wanted: Collection[str]) -> None:
        """Remove fragments and staged files that are older than a day.

        `wanted` are the ids of the copies that are still to be made: their fragments may be adopted.
        """
        for what, remove in (
            ("fragments", partial(self._remove_fragments, rule, catalog, wanted)),
            ("staged files", partial(self._discard_staged_files, rule, instance)),
        ):
            try:
                remove()
            except RdbkeeperError as error:
                self.context.journal.warning(
                    "TidyingLeft", f"Left-over {what} stay for now: {error}", reason=error.code
                )
            except Exception as error:  # noqa: BLE001 - cleaning up must not keep any backup from being copied
                report_defect(self.context.journal, f"Cleaning up {what}", error)

    def _remove_fragments(self, rule: Rule, catalog: Catalog, wanted: Collection[str]) -> None:
        path = rule.place.path
        known = {entry.copy_id for entry in catalog.entries} | {*catalog.unfinished_removals, *wanted}
        copy_ids = [folder.removeprefix(path).rstrip("/") for folder in self.context.vault(rule).folders(path)]
        orphans = [copy_id for copy_id in copy_ids if copy_id not in known and find_taken_at(copy_id) is not None]
        # A place without a single manifest has lost them, as a rule; a run that breaks leaves a fragment or two.
        if len(orphans) > MOST_FRAGMENTS or (orphans and not catalog.entries):
            self._tell_of_data(path, orphans)
            return
        too_old = []
        for copy_id in orphans:
            self.context.renew_lease()
            found = self.context.vault(rule).find_objects(f"{path}{copy_id}/")
            now = self.context.clock.now()
            oldest_to_stay = now - LEFT_OVER_AFTER
            if not _are_ours(path, found) or any(one.written_at > oldest_to_stay for one in found):
                continue
            if any(one.written_at <= now - FRAGMENTS_GO_UNTIL for one in found):
                too_old.append(copy_id)
                continue
            self._remove_fragment(rule, copy_id, found)
        if too_old:
            self._tell_of_data(path, too_old)

    def _tell_of_data(self, path: str, copy_ids: Sequence[str]) -> None:
        count = f"{len(copy_ids)} folders" if len(copy_ids) > 1 else "1 folder"
        self.context.journal.warning(
            "DataWithoutManifest",
            f"Data without a manifest lie in {count} of {path}, such as {path}{copy_ids[0]}/; they stay. "
            "Hint: if somebody removed manifests, bring them back from the bucket's versions; otherwise remove the "
            "data by hand.",
            folders=len(copy_ids),
        )

    def _remove_fragment(self, rule: Rule, copy_id: str, found: Sequence[FoundObject]) -> None:
        context, path = self.context, rule.place.path
        context.check_still_wanted(rule)
        outcome = remove_fragment(
            context.vault(rule),
            path,
            copy_id,
            found,
            reason="It was never published, and no execution can be working on it any more.",
            by=f"the clean-up of {rule.name}",
            clock=context.clock,
            journal=context.journal,
        )
        if outcome.end is not RemovalEnd.REMOVED:
            return
        for one in found:
            if one.key not in outcome.left:
                context.journal.warning(
                    "FragmentRemoved",
                    f"{one.key} ({human_size(one.size_bytes)}) was there without a manifest for more than a day.",
                    key=one.key,
                )

    def _discard_staged_files(self, rule: Rule, instance: Instance) -> None:
        context = self.context
        if rule.is_live:
            return  # nothing is ever staged of a server that is reached directly
        before = context.clock.now() - LEFT_OVER_AFTER
        tags = rule_tag(rule.name), chain_tag(context.chain)
        for name in context.source(rule).discard_leftovers(instance, *tags, before):
            context.journal.warning("StagedFileRemoved", f"The staged file {name} was left by a run before.", key=name)


def _are_ours(path: str, found: Sequence[FoundObject]) -> bool:
    """True when there is something and all of it has the form of our data; what else lies there is somebody's own."""
    return bool(found) and all(is_data_key(path, one.key) for one in found)
