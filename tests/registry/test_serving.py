"""Serving under change: switches while answering, restarts, damaged files, other processes, little memory."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference import open_inference_pb2 as v2
from marketml.bundle import TENSORS
from marketml.clients.registry import RegistryClient
from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import Aborted, DataLoss, FailedPrecondition, NotFound
from tests.registry.bundles import CLASSES, Stumps
from tests.registry.conftest import serving_below
from tests.registry.frames import frame_of, random_rows
from tests.support.waiting import eventually

ROWS = random_rows(3)
COLUMNS = [f"probability_{name}" for name in CLASSES]


def infer(registry, model_name="btc", version="") -> tuple[str, str, np.ndarray]:
    """Version, digest and probabilities of ROWS by tensors."""
    request = v2.ModelInferRequest(
        model_name=model_name,
        model_version=version,
        inputs=[{"name": "features", "datatype": "FP64", "shape": ROWS.shape}],
        raw_input_contents=[ROWS.tobytes()],
    )
    answer = registry.inference.ModelInfer(request)
    found = np.frombuffer(answer.raw_output_contents[0], "<f8").reshape(len(ROWS), -1)
    return answer.model_version, answer.parameters["digest"].string_param, found


def test_a_switch_while_answering_never_mixes_two_versions(registry):
    models = {Stumps(seed).bundle.digest: Stumps(seed) for seed in (1, 2, 3)}
    versions = {}
    for digest, model in models.items():
        versions[digest] = registry.client.upload_model("btc", model.bundle).version
    registry.client.load_model("btc", 1)
    is_over = threading.Event()

    def ask(by_tensors: bool) -> int:
        count = 0
        while not is_over.is_set():
            if by_tensors:
                version, digest, found = infer(registry)
            else:
                answer = registry.client.predict("btc", frame_of(ROWS))
                version, digest, found = answer.version, answer.digest, answer.frame[COLUMNS].to_numpy()
            assert int(version) == versions[digest]
            np.testing.assert_allclose(found, models[digest].probabilities(ROWS), rtol=1e-14)
            count += 1
        return count

    with ThreadPoolExecutor(6) as callers:
        asking = [callers.submit(ask, position % 2 == 0) for position in range(4)]
        try:
            for number in range(60):
                version = number % 3 + 1
                switched = registry.client.load_model("btc", version)
                assert switched.alias.model.version == version
                assert infer(registry)[0] == str(version), "a switch acknowledged is a switch seen"
        finally:
            is_over.set()
        assert all(each.result(30) > 0 for each in asking)


def test_switches_at_once_leave_one_champion_that_answers(registry):
    for seed in range(4):
        registry.client.upload_model("btc", Stumps(seed).bundle)
    with ThreadPoolExecutor(16) as callers:
        list(callers.map(lambda number: registry.client.load_model("btc", number % 4 + 1), range(64)))
    current = registry.client.get_current_model("btc")
    assert infer(registry)[:2] == (str(current.model.version), current.model.digest)
    pointing = [model.version for model in registry.client.list_models("btc") if model.aliases]
    assert pointing == [current.model.version]


def test_of_switches_that_saw_the_same_alias_one_wins(registry):
    for seed in range(4):
        registry.client.upload_model("btc", Stumps(seed).bundle)
    etag = registry.client.load_model("btc", 1).alias.etag

    def switch(version: int) -> bool:
        try:
            registry.client.load_model("btc", version, etag=etag)
        except Aborted:
            return False
        return True

    with ThreadPoolExecutor(12) as callers:
        won = list(callers.map(switch, [2, 3, 4] * 4))
    assert won.count(True) == 1


def test_loading_and_deleting_at_once_never_leave_an_alias_without_its_model(registry):
    for number in range(20):
        model = registry.client.upload_model(f"m-{number}", Stumps(number).bundle)
        assert model.version == 1

    def race(number: int) -> tuple[bool, bool]:
        def load() -> bool:
            try:
                registry.client.load_model(f"m-{number}", 1)
            except NotFound:
                return False
            return True

        def delete() -> bool:
            try:
                registry.client.delete_model(f"m-{number}", 1)
            except FailedPrecondition:
                return False
            return True

        with ThreadPoolExecutor(2) as two:
            first, second = two.submit(load), two.submit(delete)
            return first.result(), second.result()

    for number in range(20):
        loaded, deleted = race(number)
        assert loaded != deleted
        if loaded:
            assert infer(registry, f"m-{number}")[0] == "1"


def test_after_a_restart_the_champion_answers_as_before(start_room):
    model = Stumps(7)
    first = start_room("registry")
    with RegistryClient(first.target) as client:
        client.upload_model("btc", Stumps(6).bundle)
        client.upload_model("btc", model.bundle)
        client.load_model("btc", 2)
        before = client.predict("btc", frame_of(ROWS))
        listed = client.list_models()
    assert first.stop() == 0
    second = start_room("registry")
    with RegistryClient(second.target) as client:
        assert [loaded.version for loaded in client.get_status().loaded_models] == [2]
        assert client.predict("btc", frame_of(ROWS)).frame.equals(before.frame)
        assert client.list_models() == listed


def _damage(registry, model, name: str) -> None:
    (digest,) = (file.sha256 for file in model.files if file.name == name)
    path = registry.folder / "blobs" / digest
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_file_is_data_loss_and_does_not_stop_the_others(tmp_path):
    with serving_below(tmp_path) as serve:
        registry = serve()
        broken = registry.client.upload_model("broken", Stumps(1).bundle)
        sound = registry.client.upload_model("sound", Stumps(2).bundle)
        lost = registry.client.upload_model("lost", Stumps(3).bundle)
        for name in ("broken", "sound", "lost"):
            registry.client.load_model(name)
        folder = registry.folder
        _damage(registry, broken, TENSORS)
        (digest,) = (file.sha256 for file in lost.files if file.name == TENSORS)
        (folder / "blobs" / digest).unlink()
    with serving_below(tmp_path) as serve:
        registry = serve()
        assert [loaded.model_name for loaded in registry.client.get_status().loaded_models] == ["sound"]
        assert registry.client.predict("sound", frame_of(ROWS)).digest == sound.digest
        for name in ("broken", "lost"):
            for refused in (
                lambda name=name: registry.client.predict(name, frame_of(ROWS)),
                lambda name=name: infer(registry, name),
                lambda name=name: registry.client.download_model(name),
                lambda name=name: registry.client.load_model(name),
            ):
                with pytest.raises(DataLoss):
                    refused()
            assert not registry.inference.ModelReady(v2.ModelReadyRequest(name=name)).ready
            assert registry.client.get_current_model(name).model.version == 1
        healed = registry.client.upload_model("broken", Stumps(1).bundle)
        assert healed.version == 1
        assert registry.client.predict("broken", frame_of(ROWS)).digest == broken.digest


def test_what_another_process_switched_and_deleted_is_seen(tmp_path, postgresql_url):
    with serving_below(tmp_path) as serve:
        here, there = (
            serve(database_url=postgresql_url, refresh_seconds=0.05),
            serve(database_url=postgresql_url, refresh_seconds=0.05),
        )
        one = here.client.upload_model("btc", Stumps(1).bundle)
        here.client.load_model("btc")
        eventually(lambda: there.client.get_status().loaded_models, what="the champion in the other process")
        assert infer(there)[:2] == ("1", one.digest)
        assert infer(there, version="1")[0] == "1"
        there.client.upload_model("btc", Stumps(2).bundle)
        there.client.load_model("btc", 2)
        eventually(lambda: infer(here)[0] == "2", what="the switch in the other process")
        there.client.delete_model("btc", 1)
        eventually(lambda: _is_gone(here), what="the deletion in the other process")


def _is_gone(registry) -> bool:
    try:
        infer(registry, version="1")
    except NotFound:
        return True
    return False


def test_models_that_nobody_points_at_leave_memory_when_it_is_short(tmp_path):
    size = sum(len(content) for content in Stumps(0).bundle.contents.values())
    with serving_below(tmp_path) as serve:
        registry = serve(loaded_bytes=int(size * 2.5))
        for seed in range(6):
            registry.client.upload_model("btc", Stumps(seed).bundle)
        registry.client.load_model("btc", 1)
        for version in (2, 3, 2, 4, 2, 5):
            assert infer(registry, version=str(version))[0] == str(version)
        loaded = [each.version for each in registry.client.get_status().loaded_models]
        assert loaded == [1, 2, 5], "the champion, and the two used last"
        assert infer(registry, version="3")[0] == "3"


def test_leftovers_go_and_what_a_version_needs_stays(tmp_path):
    with serving_below(tmp_path) as serve:
        registry = serve()
        model = registry.client.upload_model("btc", Stumps(1).bundle)
        kept = registry.blobs()
        (registry.folder / "blobs" / ("0" * 64)).write_bytes(b"no row needs it")
        (registry.folder / "incoming" / "left").write_bytes(b"no upload ends it")
    with serving_below(tmp_path) as serve:
        registry = serve()
        assert registry.blobs() > kept, "the grace has not passed"
    with serving_below(tmp_path) as serve:
        registry = serve(leftover_grace_seconds=1e-3, refresh_seconds=0.02, sweep_interval_seconds=0.02)
        assert registry.blobs() == kept
        assert registry.incoming() == set()
        (registry.folder / "blobs" / ("1" * 64)).write_bytes(b"no row needs it")
        eventually(lambda: registry.blobs() == kept, what="the sweep")
        assert registry.client.download_model("btc").digest == model.digest


def test_a_download_under_way_outlives_the_deletion_of_its_version(registry):
    bundle = Stumps(1, tree_count=60_000, feature_names=("x",)).bundle
    assert len(bundle.contents[TENSORS]) > 2 * 2**20
    registry.client.upload_model("btc", Stumps(2).bundle)
    registry.client.upload_model("btc", bundle)
    with registry.stub.DownloadModel(pb.DownloadModelRequest(model_name="btc", version=2)) as parts:
        model = next(parts).model
        registry.client.delete_model("btc", 2)
        contents = {file.name: b"" for file in model.files}
        for part in parts:
            contents[part.piece.name] += part.piece.data
    assert contents == bundle.contents
