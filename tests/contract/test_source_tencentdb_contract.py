"""The contracts of sources that TencentDB keeps as well.

The others are about what it has no part in: nothing is staged there, so nothing is discarded; its API removes no
backups; an instance's backups go with it; ids of backups are the service's own. How it is in place of that is told in
test_source_tencentdb.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract import test_source as listing
from tests.contract import test_source_leftovers as leftovers
from tests.contract import test_source_on_demand as on_demand
from tests.contract.source_lab import Provider
from tests.contract.tencentdb_source_place import tencentdb_place
from tests.local_cloud.tencentdb import TencentDB

test_found_by_its_name = listing.test_an_instance_is_found_by_its_name
test_readable_whole = listing.test_an_export_becomes_readable_whole
test_not_complete = listing.test_a_backup_that_is_not_complete_is_not_exported
test_discarded = listing.test_what_was_discarded_can_be_asked_for_anew
test_counting = listing.test_backups_are_counted_by_instance
test_size = listing.test_a_backup_says_how_large_it_is_at_the_source
test_complete_backup = listing.test_a_complete_backup_is_listed_with_its_shards_and_time
test_asking_twice_for_an_export = listing.test_asking_twice_for_an_export_is_asking_once
test_no_backups = listing.test_an_instance_without_backups_has_an_empty_list
test_another_file = listing.test_a_staged_file_that_is_another_by_now_is_not_read
test_backup_gone = listing.test_an_export_of_a_backup_that_is_gone_is_refused
test_of_another_rule = leftovers.test_what_another_rule_staged_stays
test_of_this_chain = leftovers.test_what_this_chain_staged_stays
test_exported_like_any_other = on_demand.test_a_backup_that_was_asked_for_is_exported_like_any_other
test_listed_like_any_other = on_demand.test_a_backup_that_was_asked_for_is_made_and_listed_like_any_other
test_asking_twice_meanwhile = on_demand.test_asking_twice_while_it_is_being_made_is_asking_once
test_found_when_asked_for = on_demand.test_nothing_is_found_before_it_is_asked_for
test_asking_twice = on_demand.test_asking_twice_is_asking_once
test_without_a_tag = on_demand.test_a_backup_that_lacks_a_tag_stays
test_made_by_a_person = on_demand.test_a_persons_backup_stays_whatever_it_is_called
test_instance_busy = on_demand.test_an_instance_that_cannot_be_backed_up_now_is_busy
test_instance_gone = on_demand.test_an_instance_that_is_gone_is_refused


@pytest.fixture(scope="module")
def service() -> Iterator[TencentDB]:
    with TencentDB(backup_delay_s=0.1) as service:
        yield service


@pytest.fixture
def provider(service: TencentDB) -> Iterator[Provider]:
    with tencentdb_place(service) as place:
        yield place
