"""The features room as a process and a neighbour: start, stop, settings, cancelled work, no data room."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.features.v1 import features_pb2 as pb
from marketml.features.v1.features_pb2_grpc import FeatureServiceStub
from marketml.rpc.channels import open_channel
from marketml.rpc.refusals import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    NotFound,
    Reason,
    Refusal,
    ResourceExhausted,
    Unavailable,
)
from services.features.__main__ import build
from services.features.config import ROLLING_COLUMNS
from services.features.settings import FeaturesSettings
from services.host import SettingsError, read_settings
from tests.features.conftest import SYMBOL, TIMEFRAME, VENUE, Rooms, ingest
from tests.features.frames import random_walk
from tests.support.certificates import Authority
from tests.support.programs import ROOT
from tests.support.servers import RoomProcess, Served, serve_in_process
from tests.support.waiting import eventually

SERVICE = "marketml.features.v1.FeatureService"
GENERATE = f"{SERVICE}/GenerateFeatures"
# Minutes of work: what is stopped early cannot have come to its end.
HEAVY = pb.FeatureConfig(
    tsfresh=pb.TsfreshConfig(enabled=True, windows=[720, 719, 718, 717], columns=ROLLING_COLUMNS[:8])
)
HEAVY_BARS = 20_000


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RoomProcess, str]]:
    """A data room with a long series, and the snapshot of it."""
    with (
        RoomProcess("data", tmp_path_factory.mktemp("data")) as data,
        DataClient(data.target) as client,
    ):
        ingest(client, random_walk(3, HEAVY_BARS))
        yield data, client.create_snapshot(VENUE, SYMBOL, TIMEFRAME).snapshot_id


@contextmanager
def features_beside(data_target: str, **settings: Any) -> Iterator[tuple[Served, Any]]:
    """The room inside this process, and a stub of it."""
    with tempfile.TemporaryDirectory() as folder:
        given = FeaturesSettings(
            address="127.0.0.1:0", data_target=data_target, folder=Path(folder), **settings
        )
        with serve_in_process(build(given), given) as served, open_channel(served.target) as channel:
            make: Any = FeatureServiceStub
            yield served, make(channel)


def handled(served: Served, code: str) -> float:
    return served.metric("marketml_rpc_handled_total", service=SERVICE, method="GenerateFeatures", code=code)


def threads_at_work() -> list[str]:
    """Where each thread of a server's pool is, while it computes features."""
    engine = str(ROOT / "services" / "features")
    found = []
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_filename.startswith(engine):
                found.append(frame.f_code.co_name)
                break
            frame = frame.f_back
    return found


def test_a_caller_who_cancels_stops_the_computation(heavy: tuple[RoomProcess, str]):
    data, snapshot_id = heavy
    with features_beside(data.target) as (served, stub):
        answer = stub.GenerateFeatures(pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=HEAVY))
        assert next(answer).HasField("header")
        eventually(threads_at_work, what="the start of the computation")
        answer.cancel()
        eventually(lambda: handled(served, "CANCELLED") == 1, what="the end of the call")
        eventually(lambda: not threads_at_work(), what="the end of the computation")
        assert handled(served, "OK") == 0


def test_a_deadline_stops_the_computation(heavy: tuple[RoomProcess, str]):
    data, snapshot_id = heavy
    with features_beside(data.target) as (served, stub):
        request = pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=HEAVY)
        with pytest.raises(DeadlineExceeded):
            list(stub.GenerateFeatures(request, timeout=1.5))
        # The caller's clock and the server's race: who is first decides between the two codes.
        ended = ("DEADLINE_EXCEEDED", "CANCELLED")
        eventually(lambda: sum(handled(served, code) for code in ended) == 1, what="the end of the call")
        eventually(lambda: not threads_at_work(), what="the end of the computation")


def test_a_timeout_of_the_config_stops_the_computation(heavy: tuple[RoomProcess, str]):
    data, snapshot_id = heavy
    config = pb.FeatureConfig(tsfresh=HEAVY.tsfresh, limits=pb.FeatureLimits(timeout_seconds=1.5))
    with features_beside(data.target) as (_, stub):
        request = pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=config)
        with pytest.raises(ResourceExhausted) as refused:
            list(stub.GenerateFeatures(request))
        assert refused.value.subject == "config.limits.timeout_seconds"
        eventually(lambda: not threads_at_work(), what="the end of the computation")


def test_memory_is_lent_to_one_call_at_a_time_and_given_back_by_one_that_is_cancelled(
    heavy: tuple[RoomProcess, str],
):
    data, snapshot_id = heavy
    request = pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=HEAVY)
    with features_beside(data.target, work_memory_bytes=100 * 1024**2) as (_, stub):
        first = stub.GenerateFeatures(request)
        assert next(first).HasField("header")
        with pytest.raises(ResourceExhausted, match="other calls hold") as refused:
            next(stub.GenerateFeatures(request))
        assert refused.value.subject == "work_memory_bytes"
        assert refused.value.retry_after_seconds
        first.cancel()

        def is_lent() -> bool:
            second = stub.GenerateFeatures(request)
            try:
                return bool(next(second).HasField("header"))
            except ResourceExhausted:
                return False
            finally:
                second.cancel()

        eventually(is_lent, what="the memory of the cancelled call")


def test_health_and_small_calls_are_answered_while_features_are_computed(heavy: tuple[RoomProcess, str]):
    data, snapshot_id = heavy
    with features_beside(data.target) as (served, stub):
        answer = stub.GenerateFeatures(pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=HEAVY))
        assert next(answer).HasField("header")
        eventually(threads_at_work, what="the start of the computation")
        with grpc.insecure_channel(served.health_target) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for _ in range(5):
                told = health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)
                assert told.status == health_pb2.HealthCheckResponse.SERVING
                assert stub.ListFeatures(pb.ListFeaturesRequest(page_size=1)).features
        assert threads_at_work()
        answer.cancel()


def test_many_callers_get_the_same_values(rooms: Rooms):
    found: list[str] = []

    def ask() -> None:
        with FeaturesClient(rooms.features.target) as client:
            answer = client.generate_features(rooms.snapshot_id)
            found.append(f"{answer.digest} {answer.frame.to_numpy().tobytes().__hash__()}")

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 6
    assert len(set(found)) == 1


def test_without_the_data_room_features_are_unavailable_until_it_is_back(tmp_path: Path):
    with RoomProcess("data", tmp_path) as first, DataClient(first.target) as client:
        ingest(client, random_walk(1, 60))
        snapshot_id = client.create_snapshot(VENUE, SYMBOL, TIMEFRAME).snapshot_id
        target = first.target
    with features_beside(target) as (_, stub):
        request = pb.GenerateFeaturesRequest(snapshot_id=snapshot_id)
        with pytest.raises(Unavailable, match="data room does not answer") as refused:
            next(stub.GenerateFeatures(request))
        assert refused.value.reason is Reason.NEIGHBOUR_DOWN
        assert refused.value.retry_after_seconds > 0
        assert target not in refused.value.message
        assert stub.GetDefaultFeatureConfig(pb.GetDefaultFeatureConfigRequest()).HasField("config")
        assert stub.ListFeatures(pb.ListFeaturesRequest()).features
        with RoomProcess("data", tmp_path, address=target):

            def answers() -> bool:
                try:
                    return bool(list(stub.GenerateFeatures(request)))
                except Unavailable:
                    return False

            eventually(answers, 60, "an answer once the data room is back")


def test_the_data_room_is_reached_over_tls_with_the_authority_it_is_known_by(tmp_path: Path):
    authority, stranger = Authority(tmp_path, "authority"), Authority(tmp_path, "stranger")
    pair = authority.sign("server")
    request = pb.GenerateFeaturesRequest(snapshot_id="0" * 64)
    with RoomProcess("data", tmp_path, tls_certificate=pair.certificate, tls_key=pair.key) as data:
        known = {"neighbour_tls": True, "neighbour_tls_authority": authority.certificate}
        with features_beside(data.target, **known) as (_, stub), pytest.raises(NotFound):
            next(stub.GenerateFeatures(request))
        known["neighbour_tls_authority"] = stranger.certificate
        with features_beside(data.target, **known) as (_, stub), pytest.raises(Unavailable):
            next(stub.GenerateFeatures(request))


def test_a_tls_file_that_is_not_there_is_a_setting_that_cannot_be_used(tmp_path: Path):
    settings = FeaturesSettings(neighbour_tls=True, neighbour_tls_authority=tmp_path / "absent.pem")
    with pytest.raises(SettingsError, match=r"neighbour_tls.* cannot be read"):
        build(settings)


def test_a_snapshot_that_is_damaged_is_data_loss(tmp_path: Path):
    with RoomProcess("data", tmp_path) as data, DataClient(data.target) as client:
        ingest(client, random_walk(1, 60))
        snapshot_id = client.create_snapshot(VENUE, SYMBOL, TIMEFRAME).snapshot_id
        (file,) = [path for path in tmp_path.rglob("*") if path.is_file() and snapshot_id in path.name]
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        replacement = file.with_name("replacement")
        replacement.write_bytes(content)
        shutil.move(replacement, file)
        with features_beside(data.target) as (_, stub), pytest.raises(DataLoss):
            next(stub.GenerateFeatures(pb.GenerateFeaturesRequest(snapshot_id=snapshot_id)))


def test_the_process_starts_serves_and_stops(tmp_path: Path):
    with RoomProcess("features", tmp_path) as room:
        assert room.ready["room"] == "features"
        with FeaturesClient(room.target) as client:
            assert client.list_features()
        assert room.stop() == 0


def test_the_process_stops_while_it_computes(heavy: tuple[RoomProcess, str], tmp_path: Path):
    data, snapshot_id = heavy
    with (
        RoomProcess("features", tmp_path, data_target=data.target, grace_seconds=0.2) as room,
        open_channel(room.target) as channel,
    ):
        make: Any = FeatureServiceStub
        answer = make(channel).GenerateFeatures(
            pb.GenerateFeaturesRequest(snapshot_id=snapshot_id, config=HEAVY)
        )
        assert next(answer).HasField("header")
        room.terminate()
        with pytest.raises(Refusal) as refused:
            list(answer)
        assert isinstance(refused.value, Unavailable | Cancelled)
        room.wait()


def test_a_process_with_a_setting_it_does_not_know_ends_and_names_it(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "services.features"],
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "MARKETML_FEATURES_COLOUR": "red"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert "MARKETML_FEATURES_COLOUR" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WORK_MEMORY_BYTES", "-1", "WORK_MEMORY_BYTES"),
        ("NEIGHBOUR_TLS", "perhaps", "NEIGHBOUR_TLS"),
        ("ADDRESS", "nowhere", "ADDRESS"),
        ("DATA_TARGET", "", "DATA_TARGET"),
        ("DATA_TARGET", "localhost", "DATA_TARGET"),
        ("DATA_TARGET", "somewhere:0", "DATA_TARGET"),
        ("NEIGHBOUR_TLS_KEY", "key.pem", "NEIGHBOUR_TLS_CERTIFICATE"),
        ("NEIGHBOUR_TLS_AUTHORITY", "authority.pem", "NEIGHBOUR_TLS"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, said: str):
    with pytest.raises(SettingsError, match=f"MARKETML_FEATURES_{said}"):
        read_settings(FeaturesSettings, "features", {f"MARKETML_FEATURES_{name}": value})
