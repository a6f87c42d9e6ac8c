"""One verb is spelled the same all the way: `QueryFrame` of the contract is the client's `query_frame`."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from tests.house.tree import ROOMS

SERVICES = {"data": "DataService", "features": "FeatureService", "training": "TrainingService"}
SERVICES["registry"] = "RegistryService"
CLASSES = {"data": "Data", "features": "Features", "training": "Training", "registry": "Registry"}


def methods(room: str) -> list[str]:
    module = importlib.import_module(f"marketml.{room}.v1.{room}_pb2")
    return [method.name for method in module.DESCRIPTOR.services_by_name[SERVICES[room]].methods]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def lacking(kind: Any, names: list[str]) -> list[str]:
    return [name for name in names if not callable(getattr(kind, name, None))]


@pytest.mark.parametrize("room", ROOMS)
def test_the_servicer_has_every_method_of_the_contract(room: str) -> None:
    servicer = getattr(importlib.import_module(f"services.{room}.servicer"), f"{CLASSES[room]}Servicer")
    assert not lacking(servicer, methods(room))


@pytest.mark.parametrize("room", ROOMS)
def test_the_client_has_every_method_of_the_contract(room: str) -> None:
    client = getattr(importlib.import_module(f"marketml.clients.{room}"), f"{CLASSES[room]}Client")
    assert not lacking(client, [snake(name) for name in methods(room)])
