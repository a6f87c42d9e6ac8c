"""The registry is killed at every file operation of a publish, and never has a version without its bytes.

One server after the other on the same folder: each is killed one operation later in an upload than the one
before, the next finds what it left, and the same request, sent again, completes.
"""

from __future__ import annotations

import hashlib
import signal
import sqlite3
from pathlib import Path

import pytest

from marketml.clients.registry import RegistryClient
from marketml.rpc.refusals import NotFound, Unavailable
from tests.faults.failpoints import Failpoints, Operation
from tests.faults.forked_rooms import ForkedRooms
from tests.registry.bundles import Stumps
from tests.support.servers import RoomProcess
from tests.support.waiting import eventually

OPERATIONS_MAX = 120  # of one publish: a bound on the loop


class Registry:
    """A registry's folder, over the deaths of its processes."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "registry"
        self.folder.mkdir()
        self.failpoints = Failpoints(tmp_path, self.folder)
        self.acknowledged: dict[str, str] = {}  # model name to digest

    def serve_often(self) -> ForkedRooms:
        """Registries on the folder, one after the other, under the failpoints."""
        environment = self.failpoints.environment | {"MARKETML_REGISTRY_ADDRESS": "127.0.0.1:0"}
        return ForkedRooms("services.registry.__main__", self.folder, environment)

    def upload(self, client: RegistryClient, number: int) -> None:
        """Send upload `number`; it is acknowledged when this returns."""
        bundle = Stumps(seed=number).bundle
        model = client.upload_model(f"model-{number}", bundle, request_id=f"upload-{number}")
        assert (model.version, model.digest) == (1, bundle.digest)
        self.acknowledged[f"model-{number}"] = bundle.digest

    def check(self, client: RegistryClient, interrupted: str = "") -> None:
        """Everything acknowledged is there; the interrupted upload is there whole, or not at all."""
        listed = {model.model_name: model for model in client.list_models()}
        assert set(listed) - {interrupted} == set(self.acknowledged)
        for name, model in listed.items():
            for file in model.files:
                content = (self.blobs / file.sha256).read_bytes()
                assert hashlib.sha256(content).hexdigest() == file.sha256, name
        if not interrupted:
            return
        if interrupted in listed:
            assert client.download_model(interrupted).digest == listed[interrupted].digest
        else:
            with pytest.raises(NotFound):
                client.get_model(interrupted)

    @property
    def blobs(self) -> Path:
        return self.folder / ".run" / "registry" / "blobs"

    @property
    def incoming(self) -> Path:
        return self.folder / ".run" / "registry" / "incoming"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def test_the_operations_of_a_publish_have_their_order(registry: Registry) -> None:
    with RoomProcess("registry", registry.folder, environment=registry.failpoints.environment) as room:
        registry.failpoints.arm()
        with RegistryClient(room.target) as client:
            registry.upload(client, 1)
        registry.failpoints.disarm()
    done = registry.failpoints.operations()
    drafts = [step.path for step in done if step.kind == "open" and step.path.parent == registry.incoming]
    assert len(drafts) == len(Stumps(1).bundle.files)
    renames = [place for place, step in enumerate(done) if step.kind == "rename"]
    assert {done[place].path.parent for place in renames} == {registry.blobs}
    synced = [done.index(Operation("fsync", draft)) for draft in drafts]
    assert max(synced) < min(renames)
    assert all(step.path not in drafts for step in done[max(synced) + 1 :] if step.kind == "write")
    folder = done.index(Operation("fsync", registry.blobs), max(renames))
    (committed,) = [
        place for place, step in enumerate(done) if step.kind == "fsync" and step.path.name.endswith("-wal")
    ]
    assert max(renames) < folder < committed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_every_operation_of_a_publish_no_version_lacks_its_bytes(registry: Registry) -> None:
    with registry.serve_often() as rooms:
        with RegistryClient(rooms.start()) as client:
            registry.failpoints.arm()
            registry.upload(client, 0)
            plan = registry.failpoints.operations()
            registry.failpoints.disarm()
        assert rooms.stop() == 0
        torn = [(place, True) for place, step in enumerate(plan, start=1) if step.kind == "write"]
        crashes = [(place, False) for place in range(1, OPERATIONS_MAX)]
        killed_count, interrupted = 0, 0
        for number, (kill_at, half) in enumerate([*torn, *crashes], start=1):
            with RegistryClient(rooms.start()) as client:
                if interrupted:
                    registry.check(client, f"model-{interrupted}")
                    registry.upload(client, interrupted)
                    registry.upload(client, interrupted)  # once more: the same answer
                    registry.check(client)
                registry.failpoints.arm(kill_at, half)
                try:
                    registry.upload(client, number)
                except Unavailable:
                    registry.failpoints.disarm()
                    assert rooms.wait() == -signal.SIGKILL
                    killed_count, interrupted = killed_count + 1, number
                else:
                    registry.failpoints.disarm()
                    assert rooms.stop() == 0
                    break  # the upload has fewer operations than that: all were tried
        assert len(torn) + 10 < killed_count < len(torn) + OPERATIONS_MAX - 1

    quick = {"sweep_interval_seconds": 0.2, "leftover_grace_seconds": 0.2}
    with RoomProcess("registry", registry.folder, **quick) as room, RegistryClient(room.target) as client:
        registry.check(client)
        needed = {file.sha256 for model in client.list_models() for file in model.files}
        eventually(lambda: not list(registry.incoming.iterdir()), 30, "the sweep of drafts")
        eventually(lambda: {path.name for path in registry.blobs.iterdir()} == needed, 30, "that of blobs")
    database = sqlite3.connect(registry.folder / ".run" / "registry" / "registry.sqlite")
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        database.close()
