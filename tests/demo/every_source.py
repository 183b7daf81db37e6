"""What a person protects beside nodes of ElastiCache: every other provider, servers without one, backups on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.demo.checks import load_copy, read_manifests
from tests.demo.hooks import Application, is_frozen, make_hooks, read_counter
from tests.demo.providers import Protected, Providers, register_all
from tests.demo.screen import Screen
from tests.demo.world import HOOKS, STACK, Made, World

PAYMENTS = Made("payments", shards=1, ballast_bytes=0)
FROZEN = Protected("payments-frozen", {"provider": "elasticache", "instance": PAYMENTS.instance}, "cluster mode off")
BACKED_UP_NOW = "ledger-nightly"


@dataclass
class EverySource:
    """Goes through it step by step; `expect` notes what did not hold. `protected` are the instances that it made."""

    world: World
    screen: Screen
    expect: Callable[[bool, str], None]
    providers: Providers = field(init=False)
    protected: list[Protected] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.providers = Providers(self.world)

    @property
    def places(self) -> dict[str, str]:
        """Each rule's place in the vault."""
        return {one.rule: one.place for one in self.protected}

    @property
    def listed_backups(self) -> list[str]:
        """The backups that providers listed from the beginning."""
        return [one.backup_id for one in self.protected if one.backup_id]

    def run(self) -> None:
        try:
            self._make()
            self._register()
            self._fire_all()
            self._back_up_now()
        finally:
            self.providers.close()

    def _make(self) -> None:
        with self.screen.step("Making an instance at every other provider, and three servers that nobody manages"):
            self.protected = self.providers.make_all()
            self.world.make_instance(PAYMENTS)
            make_hooks(self.world, {PAYMENTS.instance: self.world.cloud.elasticache.ports(PAYMENTS.instance)})
            self.protected.append(FROZEN)
            for one in self.protected:
                self.screen.line(f"{one.source['provider']:<24}{one.instance:<14}{one.shape}")

    def _register(self) -> None:
        with self.screen.step("Registering a rule for each; one has its own functions freeze and thaw writes"):
            hooks = {"backup_first": {**HOOKS, "demands_application": True}}
            for answer in register_all(self.world, self.protected, {FROZEN.rule: hooks}):
                rule = answer["rule"]
                self.screen.line(f"{rule['name']:<20}next {rule['next_fire_times'][0]}")

    def _fire_all(self) -> None:
        with self.screen.step(f"The timers of all {len(self.protected)} rules fire at once"):
            (engine,) = self.world.cloud.elasticache.engines(PAYMENTS.instance)
            application = Application(engine)
            with application.writing():
                fired = {one.rule: self.world.cloud.fire(STACK, one.rule) for one in self.protected}
                for rule, execution in fired.items():
                    status = self.world.cloud.wait_for_execution(execution)["Status"]
                    self.expect(status == "SUCCEEDED", f"the run of {rule} ended with {status}")
                    lines = [run["line"] for run in self._history(rule)]
                    self.screen.line(lines[0] if lines else f"{rule}: {status}")
        copied = [manifest["rule"] for manifest in read_manifests(self.world)]
        missing = [rule for rule in self.places if copied.count(rule) != 1]
        self.expect(not missing, f"these rules did not make one copy: {missing}")
        self._check_links()
        self._check_freeze(application)

    def _check_links(self) -> None:
        turned_away = [read for read in self.world.cloud.tencentdb.reads if read.status == 403]
        self.screen.line(
            f"a link of TencentDB ended in the middle of a file ({len(turned_away)} x 403): another was taken"
        )
        self.expect(bool(turned_away), "no link ended in the middle of a file")

    def _check_freeze(self, application: Application) -> None:
        """The copy ends with the last write before the freeze; the next one was held back until the thaw."""
        with self.screen.step(f"{FROZEN.rule}: what its application saw while the backup was made"):
            manifests = self._manifests(FROZEN)
            if len(manifests) != 1:
                return  # which was told already
            (manifest,) = manifests
            held, waited_s = application.longest_wait
            copied = self._read_copied_counter(manifest)
            self.screen.line(
                f"write {held} was held back for {waited_s:.1f} s, the other {len(application.waits) - 1} not"
            )
            self.screen.line(f"the copy ends with write {copied}; {len(application.waits) - held} came after the thaw")
            self.expect(copied == held - 1 and waited_s > 1, "writes were not frozen around the backup")
            self.expect(manifest["consistency"] == "application", f"the copy is {manifest['consistency']}")
            (port,) = self.world.cloud.elasticache.ports(PAYMENTS.instance)
            self.expect(not is_frozen(port), "writes are still frozen")
            self.expect(not self._made_backups(), "the backup that was made stays at the provider")
            application.go_back_to(copied)
            self.world.note_digests(manifest["source"]["backup_id"], [port])

    def _read_copied_counter(self, manifest: Mapping[str, Any]) -> int:
        (file,) = manifest["files"]
        with load_copy(self.world.read(file["key"])) as engine:
            return read_counter(engine)

    def _made_backups(self) -> list[str]:
        """The backups at the providers that are named as those that rdbkeeper asks for."""
        memorydb = self.world.cloud.client("memorydb").describe_snapshots()["Snapshots"]
        names = [*self.world.listed_backups(), *(snapshot["Name"] for snapshot in memorydb)]
        return [name for name in names if name.startswith("rdbkeeper-")]

    def _back_up_now(self) -> None:
        with self.screen.step(f"A backup of {BACKED_UP_NOW} now: events/backup_now.json"):
            started = self.world.send("backup_now", name=BACKED_UP_NOW)
            ended = self.world.wait_for_run(BACKED_UP_NOW, started["run"])
            self.screen.line(ended["line"])
            self.expect(ended["state"] == "succeeded", "the run with a backup of its own did not succeed")
            self.expect(not self._made_backups(), "the backup that was made stays at the provider")
            ledger = next(one for one in self.protected if one.rule == BACKED_UP_NOW)
            made = [found for found in self._manifests(ledger) if found["source"]["backup_id"] != ledger.backup_id]
            self.expect(len(made) == 1, "not one backup was made and copied")
            for manifest in made:
                self.world.note_digests(manifest["source"]["backup_id"], self.world.cloud.memorydb.ports("ledger"))

    def show_table(
        self,
        manifests: Sequence[Mapping[str, Any]],
        loaded: Mapping[str, bool],
        seconds: Mapping[tuple[str, str], float],
    ) -> None:
        """One line a copy: whose it is, how consistent, whether it was loaded and is equal, how long copying took.

        `loaded` is by the files' keys, `seconds` by rule and copy.
        """
        form = "{:<23}{:<14}{:<42}{:>5}{:>12}  {:<10}{:<15}{:<6}{:>6}"
        with self.screen.step("Every source"):
            heads = ("provider", "instance", "backup", "files", "bytes", "level", "consistency", "equal", "s")
            self.screen.line(form.format(*heads))
            for manifest in sorted(manifests, key=lambda one: (one["source"]["provider"], one["copy_id"])):
                source, files = manifest["source"], manifest["files"]
                facts = (
                    *(source["provider"], source["instance"], _describe(manifest)),
                    *(len(files), f"{manifest['size_bytes']:,}", manifest["level"], manifest["consistency"]),
                    "yes" if all(loaded[file["key"]] for file in files) else "NO",
                    f"{seconds.get((manifest['rule'], manifest['copy_id']), 0):.1f}",
                )
                self.screen.line(form.format(*facts))

    def _history(self, rule: str) -> Sequence[Mapping[str, Any]]:
        runs: Sequence[Mapping[str, Any]] = self.world.send("rule_history", name=rule)["runs"]
        return runs

    def _manifests(self, protected: Protected) -> list[Mapping[str, Any]]:
        return [one for one in read_manifests(self.world) if one["rule"] == protected.rule]


def _describe(manifest: Mapping[str, Any]) -> str:
    """The backup; of a server that was read directly, how."""
    if manifest["source"]["provider"] != "redis":
        return str(manifest["source"]["backup_id"])
    return "key by key" if manifest["consistency"] == "logical" else "full sync"
