"""A second vault: copies kept for a time, held, audited, checked without the stack; and a vault that goes away."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.screen import Screen
from tests.demo.world import INSTANCES, SECOND_BUCKET, World

RULE, FIRST_RULE = "sessions-elsewhere", "sessions-weekly"
VAULT, PLACE = "second", "elsewhere/sessions/"
LAYER = Path(__file__).parents[2] / "layers" / "rdbkeeper"


@dataclass(frozen=True)
class VaultsLife:
    """Goes through it step by step; `expect` notes what did not hold."""

    world: World
    screen: Screen
    expect: Callable[[bool, str], None]

    def run(self) -> None:
        self._bind()
        self._copy_there()
        self._retain()
        self._audit()
        self._verify()
        self._go_away_and_come_back()

    def _bind(self) -> None:
        with self.screen.step(f"Binding the bucket {SECOND_BUCKET} as the vault {VAULT}: events/bind_vault.json"):
            self.world.make_bucket(SECOND_BUCKET, can_lock=True)
            vault = self._ask("bind_vault", name=VAULT, bucket=SECOND_BUCKET, region="", note="", options={})["vault"]
            words = {True: "yes", False: "no"}
            found = vault["capabilities"].items()
            honours = ", ".join(f"{name.replace('_', ' ')}: {words.get(value, value)}" for name, value in found)
            self.screen.line(f"{vault['state']}; {honours}")
            self.expect(vault["state"] == "available", "the vault is not available")

    def _copy_there(self) -> None:
        with self.screen.step(f"3-2-1: a second rule, {RULE}, keeps the same backups in {VAULT}"):
            made = next(made for made in INSTANCES if made.instance == "sessions")
            self.world.take_backup(made, "after-release-sessions")
            source = {"provider": "elasticache", "instance": made.instance}
            cycle = {"kind": "manual"}
            rule = {"name": RULE, "source": source, "cycle": cycle, "vault": VAULT, "prefix": "elsewhere/"}
            self.world.send("create_manual_rule", rule=rule)
            self.expect(self.world.fire(FIRST_RULE) == "SUCCEEDED", "the first rule's run did not succeed")
            self.screen.line(self._run()["line"])
            self.expect(len(self._copies()) == 3, "the second vault lacks copies")

    def _retain(self) -> None:
        with self.screen.step(f"Keeping the last copy alone in {VAULT}, and holding the oldest: previewed, then done"):
            oldest, middle, newest = self._copies()
            self._ask("hold_copy", copy_id=oldest, note="the auditors want it")
            revision = self.world.send("get_rule", name=RULE)["rule"]["revision"]
            edited = self.world.send("update_rule", name=RULE, revision=revision, rule={"retention": {"keep_last": 1}})
            self.screen.line(f"will remove {', '.join(one['copy_id'] for one in edited['will_remove'])}")
            self.screen.line(f"but not before {edited['removes_from']}")
            self._run()
            self.expect(len(self._copies()) == 3, "a copy went in the grace period")
            self.world.end_grace(RULE)
            self.screen.line("the grace period goes by")
            self.screen.line(self._run()["line"])
            left = self._copies()
            for copy_id, states in left.items():
                self.screen.line(f"{', '.join(states):<18}{copy_id}")
            self.expect(list(left) == [oldest, newest], f"not {middle} alone was removed")

    def _audit(self) -> None:
        with self.screen.step(
            "One bit of a copy turns over; an audit reads all copies again: events/audit_copies.json"
        ):
            damaged, *_, whole = self._copies()
            key = next(key for key in self.world.keys(SECOND_BUCKET) if key.startswith(f"{PLACE}{damaged}/"))
            self.screen.line(f"byte {self.world.damage(SECOND_BUCKET, key):,} of {key}")
            started = self._ask("audit_copies")
            ended = self.world.wait_for_run(RULE, started["run"])
            self.screen.line(ended["line"])
            states = self._copies()
            self.expect(ended["state"] == "failed" and "damaged" in states[damaged], "the audit missed the damage")
            self.expect(states[whole] == ["verified"], "the audit doubts a copy that is whole")

    def _verify(self) -> None:
        heading = "Without the stack: python -m rdbkeeper.verify on what was fetched from the bucket"
        with self.screen.step(heading), tempfile.TemporaryDirectory() as folder:
            for key in self.world.keys(SECOND_BUCKET):
                path = Path(folder) / key
                path.parent.mkdir(parents=True, exist_ok=True)
                found = self.world.cloud.client("s3").get_object(Bucket=SECOND_BUCKET, Key=key)
                path.write_bytes(found["Body"].read())
            damaged, *_, whole = self._copies()
            manifests = Path(folder) / PLACE / "manifests"
            for copy_id, wanted in ((whole, 0), (damaged, 1)):
                status = self._run_verify(manifests / f"{copy_id}.verified.json")
                self.expect(status == wanted, f"the check of {copy_id} ended with {status}, not {wanted}")

    def _run_verify(self, path: Path) -> int:
        command = [sys.executable, "-m", "rdbkeeper.verify", str(path)]
        done = subprocess.run(command, cwd=LAYER, capture_output=True, text=True, check=False)
        for line in (done.stdout + done.stderr).splitlines():
            self.screen.line(line)
        return done.returncode

    def _go_away_and_come_back(self) -> None:
        with self.screen.step(f"The vault {VAULT} goes away and comes back; reconciling looks every hour"):
            self.world.cloud.s3.deny("s3:ListBucket", bucket=SECOND_BUCKET)
            try:
                self.world.reconcile()
                self._expect_states("offline", "blocked")
                status = self.world.fire(FIRST_RULE)
                self.screen.line(f"the other vault's rule runs meanwhile: {status}")
                self.expect(status == "SUCCEEDED", "one vault kept another's rule from running")
            finally:
                self.world.cloud.s3.forgive()
            self.world.reconcile()
            self._expect_states("available", "active")

    def _expect_states(self, vault_state: str, rule_state: str) -> None:
        vault = self._ask("get_vault", name=VAULT)["vault"]
        rule = self.world.send("get_rule", name=RULE)["rule"]
        self.screen.line(f"{VAULT} is {vault['state']}. {vault['reason']}")
        self.screen.line(f"{RULE} is {rule['state']}")
        self.expect((vault["state"], rule["state"]) == (vault_state, rule_state), f"the vault is not {vault_state}")

    def _run(self) -> Mapping[str, Any]:
        run = self.world.send("run_rule", name=RULE)["run"]
        ended = self.world.wait_for_run(RULE, run)
        self.expect(ended["state"] == "succeeded", "a run into the second vault did not succeed")
        return ended

    def _copies(self) -> dict[str, list[str]]:
        """Each copy's states, the oldest first."""
        found = self.world.invoke("manage-rules", {"action": "copies", "rule": RULE})["copies"]
        return {copy["copy_id"]: copy["states"] for copy in reversed(found)}

    def _ask(self, event: str, **changes: object) -> Mapping[str, Any]:
        return self.world.send(event, **({"rule": RULE} if "cop" in event else {}), **changes)
