"""A registry served inside the test process, on a real database, folder, server and channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from marketml.clients.registry import RegistryClient
from marketml.registry.v1.registry_pb2_grpc import RegistryServiceStub
from marketml.rpc.channels import open_channel
from services.host.database import open_database
from services.registry.__main__ import build_room
from services.registry.settings import RegistrySettings
from services.registry.store import MIGRATIONS
from tests.support.servers import Served, serve_in_process


class ServedRegistry:
    """The room, its files and a client."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served = served
        self.folder = folder
        self.client = RegistryClient(served.target)
        self.channel = open_channel(served.target)
        self.stub = RegistryServiceStub(self.channel)
        self.inference = GRPCInferenceServiceStub(self.channel)

    @property
    def target(self) -> str:
        return self.served.target

    def close(self) -> None:
        self.client.close()
        self.channel.close()

    def blobs(self) -> set[str]:
        """The names of the published files."""
        return {path.name for path in (self.folder / "blobs").iterdir()}

    def incoming(self) -> set[str]:
        """The names of the files under way."""
        return {path.name for path in (self.folder / "incoming").iterdir()}


@contextmanager
def serving_below(folder: Path) -> Iterator[Callable[..., ServedRegistry]]:
    """A function that serves registries on files below `folder`; a setting may be given by name."""
    with ExitStack() as opened:

        def serve(**settings: object) -> ServedRegistry:
            given = {
                "address": "127.0.0.1:0",
                "folder": folder / "registry",
                "database_url": f"sqlite:///{folder}/registry.sqlite",
            } | settings
            made = RegistrySettings(**given)  # type: ignore[arg-type]
            database = opened.enter_context(open_database(made.database_url, migrations=MIGRATIONS))
            served = opened.enter_context(serve_in_process(build_room(made, database), made))
            registry = ServedRegistry(served, made.folder)
            opened.callback(registry.close)
            return registry

        yield serve


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ServedRegistry]:
    """A registry with nothing in it."""
    with serving_below(tmp_path) as serve:
        yield serve()


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRegistry]:
    """One registry for all tests of a module that change nothing in it."""
    with serving_below(tmp_path_factory.mktemp("shared")) as serve:
        yield serve()
