"""Settings of the training room: what contradicts itself stops the start."""

from __future__ import annotations

import pytest

from services.host import SettingsError, read_settings, with_cluster
from services.training.settings import TrainingSettings


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"NEIGHBOUR_TLS_AUTHORITY": "ca.pem"}, "NEIGHBOUR_TLS must be true"),
        (
            {"NEIGHBOUR_TLS_CERTIFICATE": "own.pem", "NEIGHBOUR_TLS_KEY": "own.key"},
            "NEIGHBOUR_TLS must be true",
        ),
        ({"NEIGHBOUR_TLS": "true", "NEIGHBOUR_TLS_KEY": "own.key"}, "must be given together"),
        ({"HEARTBEAT_SECONDS": "3600"}, "HEARTBEAT_SECONDS must be below"),
        ({"JOB_PROCESSES_COUNT": "0"}, "JOB_PROCESSES_COUNT must be a positive"),
        ({"DASK_SCHEDULER": "cluster"}, "DASK_SCHEDULER must be like tcp://"),
    ],
)
def test_a_setting_that_contradicts_another_is_refused_by_its_variable(
    variables: dict[str, str], said: str
) -> None:
    environment = {f"MARKETML_TRAINING_{name}": value for name, value in variables.items()}
    with pytest.raises(SettingsError, match=said):
        read_settings(TrainingSettings, "training", environment)


def test_the_cluster_of_all_rooms_is_taken_where_the_room_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    own = read_settings(TrainingSettings, "training", {"MARKETML_TRAINING_DASK_SCHEDULER": "tcp://own:1"})
    none = read_settings(TrainingSettings, "training", {})
    monkeypatch.delenv("MARKETML_DASK_SCHEDULER", raising=False)
    assert with_cluster(none).dask_scheduler is None
    monkeypatch.setenv("MARKETML_DASK_SCHEDULER", "tcp://all:1")
    assert with_cluster(none).dask_scheduler == "tcp://all:1"
    assert with_cluster(own).dask_scheduler == "tcp://own:1"
    monkeypatch.setenv("MARKETML_DASK_SCHEDULER", "all")
    with pytest.raises(SettingsError, match="MARKETML_DASK_SCHEDULER must be like"):
        with_cluster(none)
