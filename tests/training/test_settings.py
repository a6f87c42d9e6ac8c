"""Settings of the training room: what contradicts itself stops the start."""

from __future__ import annotations

import pytest

from services.host import SettingsError, read_settings
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
    ],
)
def test_a_setting_that_contradicts_another_is_refused_by_its_variable(
    variables: dict[str, str], said: str
) -> None:
    environment = {f"MARKETML_TRAINING_{name}": value for name, value in variables.items()}
    with pytest.raises(SettingsError, match=said):
        read_settings(TrainingSettings, "training", environment)
