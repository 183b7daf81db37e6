"""Shows the main job end to end: python -m tests.demo [--keep FOLDER]. Its last line tells whether all of it held."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.demo.checks import Tally, find_strays, is_made_by_run, load_and_compare, read_manifests
from tests.demo.every_source import EverySource
from tests.demo.keep import KeepError, KeepFolder
from tests.demo.rules_life import RulesLife
from tests.demo.screen import Screen
from tests.demo.vaults_life import RULE as RULE_ELSEWHERE
from tests.demo.vaults_life import VaultsLife
from tests.demo.world import INSTANCES, STACK, World, parameters_for
from tests.local_cloud.durable import FunctionNeverStartsError
from tests.local_cloud.front import AddressInUseError
from tests.local_cloud.redis_server import EngineError, find_server
from tests.local_cloud.server import LOCALSTACK_PORT, LocalCloud

# Which event registers a rule, and the rule's name in it.
RULES = {"create_rule": "orders-nightly", "create_weekly_rule": "sessions-weekly"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; the exit status is 0 only if everything held."""
    parser = argparse.ArgumentParser(prog="make run", description="Shows real Redis backups travelling.")
    parser.add_argument("--keep", type=Path, help="a folder for the copied files, manifests and digests")
    folder = parser.parse_args(arguments).keep
    screen = Screen()
    try:
        keep = KeepFolder(folder) if folder else None
        server = find_server()
        with (
            screen.step(f"Starting a cloud on this machine, with {server.product} {server.version_text}"),
            _start(screen) as cloud,
        ):
            tally = _Demonstration(screen, cloud, keep).run()
    except (KeepError, EngineError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.", file=sys.stderr)
        return 130
    print(f"\n{tally}", flush=True)
    return 0 if tally.holds else 1


def _start(screen: Screen) -> LocalCloud:
    try:
        cloud = LocalCloud(port=LOCALSTACK_PORT)
    except AddressInUseError:
        cloud = LocalCloud()
    screen.line(f"AWS answers at {cloud.endpoint_url}")
    return cloud


class _Demonstration:
    def __init__(self, screen: Screen, cloud: LocalCloud, keep: KeepFolder | None) -> None:
        self._screen = screen
        self._cloud = cloud
        self._keep = keep
        self._failed = 0
        self._places: dict[str, str] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    def run(self) -> Tally:
        world = self._deploy()
        every_source = EverySource(world, self._screen, self._expect)
        try:
            self._fill(world)
            self._register(world)
            self._fire_twice(world)
            for rule in RULES.values():
                self._seconds |= world.seconds_of_copies(rule)
            RulesLife(world, self._screen, self._expect).run()
            VaultsLife(world, self._screen, self._expect).run()
            every_source.run()
        except (RuntimeError, TimeoutError, FunctionNeverStartsError, BotoCoreError, ClientError) as error:
            self._expect(False, f"{type(error).__name__}: {error}")
        self._show_logs(world)
        self._show_bucket(world)
        return self._check_copies(world, every_source)

    def _deploy(self) -> World:
        with self._screen.step("Deploying template.yaml"):
            deployment = self._cloud.deploy(stack=STACK, parameters=parameters_for(self._cloud))
            for logical_id, name in deployment.resources.items():
                self._screen.line(f"{logical_id:<22} {name}")
        return World(self._cloud, deployment)

    def _fill(self, world: World) -> None:
        for made in INSTANCES:
            with self._screen.step(f"Filling {made.instance}: {made.shards} real Redis server(s), every type"):
                world.make_instance(made)
                backups = [world.take_backup(made)]
                world.write_more(made)
                backups.append(world.take_backup(made, f"before-release-{made.instance}"))
                for (backup_id, shard), digest in world.digests.items():
                    if backup_id in backups:
                        self._screen.line(f"{backup_id} shard {shard}: {digest.key_count} keys, {digest.dataset[:12]}…")

    def _register(self, world: World) -> None:
        for event in RULES:
            with self._screen.step(f"Sending events/{event}.json to {STACK}-manage-rules"):
                answer = world.send(event)
                rule, made = answer["rule"], answer["made"]
                self._places[rule["name"]] = f"{rule['prefix']}{rule['source']['instance']}/"
                self._screen.line(f"function  {made['function']} (version {made['version']})")
                self._screen.line(f"log       {made['log_group']}")
                self._screen.line(f"schedule  {', '.join(rule['sent_to_scheduler'])} {rule['cycle']['time_zone']}")
                self._screen.line(f"next      {rule['next_fire_times'][0]}")

    def _fire_twice(self, world: World) -> None:
        for time in ("first", "second"):
            for rule in RULES.values():
                before = world.vault_objects()
                with self._screen.step(f"The timer of {rule} fires for the {time} time"):
                    status = world.fire(rule)
                    new = len(world.vault_objects().keys() - before.keys())
                    self._screen.line(f"the run {status}: {new} new objects in the vault")
                    self._expect(status == "SUCCEEDED", "the run did not succeed")
                    self._expect(bool(new) == (time == "first"), "the first run copies, the second copies nothing")
        self._expect(not world.staged_objects(), "staged files were left behind")

    def _show_logs(self, world: World) -> None:
        for rule in (*self._places, RULE_ELSEWHERE):
            with self._screen.step(f"The log of {STACK}-rule-{rule}"):
                for event in world.log_events(rule):
                    self._screen.log_line(event["timestamp"], event["message"])

    def _show_bucket(self, world: World) -> None:
        with self._screen.step(f"The bucket {world.vault_bucket}"):
            for key, size_bytes in sorted(world.vault_objects().items()):
                self._screen.line(f"{size_bytes:>12,}  {key}")
        manifests = sorted(key for key in world.vault_objects() if "/manifests/" in key)
        for key in manifests[:1]:
            with self._screen.step(f"The manifest {key}"):
                self._screen.document(world.read(key).decode())

    def _check_copies(self, world: World, every_source: EverySource) -> Tally:
        manifests = read_manifests(world)
        listed = [*world.listed_backups(), *every_source.listed_backups]
        with self._screen.step("Loading every copied file into a second real server, and comparing digests"):
            loaded = self._load_all(world, manifests)
            for stray in find_strays(world, manifests, {**self._places, **every_source.places}, listed):
                self._expect(False, f"{stray} is not where it belongs")
        for rule in (RULES["create_weekly_rule"], *every_source.places):
            self._seconds |= world.seconds_of_copies(rule)
        every_source.show_table(manifests, loaded, self._seconds)
        if self._keep is not None:
            self._keep_manifests(world, self._keep)
        data = {key: size for key, size in world.vault_objects().items() if key.endswith(".rdb")}
        return Tally(
            found=len(listed) + sum(is_made_by_run(manifest) for manifest in manifests),
            copied=len(manifests),
            files=len(data),
            size_bytes=sum(data.values()),
            verified=sum(manifest["level"] == "verified" for manifest in manifests),
            loaded=sum(loaded.values()),
            failed=self._failed,
        )

    def _load_all(self, world: World, manifests: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
        """Whether each file that was copied is equal to its source, by its key; two at a time."""
        files = [(manifest, file) for manifest in manifests for file in manifest["files"]]
        with ThreadPoolExecutor(2) as pool:
            same = pool.map(lambda one: load_and_compare(world, *one, self._keep), files)
            loaded = {file["key"]: equal for (_, file), equal in zip(files, same, strict=True)}
        for key, equal in loaded.items():
            self._expect(equal, f"{key} differs from its source")
        equal_files = f"{sum(loaded.values())} of {len(loaded)} files are equal to their sources"
        self._screen.line(f"{equal_files}: keys, values, expiries, consumer groups and functions")
        return loaded

    def _keep_manifests(self, world: World, keep: KeepFolder) -> None:
        for key in (key for key in world.vault_objects() if "/manifests/" in key):
            keep.keep(key, world.read(key))
        self._screen.line(f"kept in {keep.folder}: the copied files, their manifests, and both digests of each")

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self._failed += 1
            self._screen.line(f"FAILED: {what}")


if __name__ == "__main__":
    sys.exit(main())
