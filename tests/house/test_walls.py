"""The walls between rooms and between the floors of a room: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import ROOMS, ROOT, Found, calls, imports, listed, sources, tree, within

FLOORS = ("__main__", "servicer", "wire", "application", "store", "neighbours", "settings")
# What has no place in a room: data and (until it serves the newest bar by itself) registry ask nobody, and
# features keeps nothing.
ABSENT = {("data", "neighbours"), ("registry", "neighbours"), ("features", "store")}

# Parts of a floor in a file of their own: threads and processes are the application's, files on disk the
# store's; a worker is the main of another process.
PARTS = {
    "training": {
        "crew/attendant": "application",
        "crew/checkpoint_folders": "store",
        "crew/supervisor": "application",
        "crew/worker_deaths": "application",
        "crew/worker_log": "application",
        "forecasting/cost_meter": "application",
        "forecasting/cost_store": "store",
        "forecasting/cost_worker": "__main__",
        "forecasting/planner": "application",
        "reproducer": "application",
        "runner": "application",
        "worker": "__main__",
        "workshop/checkpoints": "store",
        "workshop/dask_pool": "application",
        "workshop/fitter": "__main__",
        "workshop/pool": "application",
    },
    "registry": {
        "background": "application",
        "serving": "application",
        "uploads": "application",
        "blobs": "store",
    },
    "data": {
        "collection/ccxt_exchange": "store",
        "collection/collector": "application",
        "collection/exchange": "store",
        "collection/dump_files": "store",
        "collection/file_collector": "application",
        "quality/repairer": "application",
        "collection/schedule": "application",
        "snapshots/draft": "store",
        "snapshots/files": "store",
    },
    "features": {
        "cache": "store",
        "cache_file": "store",
        "dask_pool": "application",
        "generation": "application",
        "latest": "application",
        "leakage": "application",
        "pool": "application",
        "selecting": "application",
        "worker": "__main__",
    },
}

GRPC = ("grpc", "grpc_status", "grpc_health", "grpc_reflection")
SQL = ("sqlalchemy", "alembic", "sqlite3", "psycopg")
PROTOBUF = ("google.protobuf", "google.rpc")
CONTRACTS = (*(f"marketml.{room}.v1" for room in ("market", *ROOMS)), "inference")
CLIENTS = ("marketml.clients",)
HOST = ("services.host",)

FORBIDDEN = {
    "servicer": (*GRPC, *SQL, *CLIENTS),
    "wire": (*GRPC, *SQL, *CLIENTS, *HOST),
    "application": (*GRPC, *SQL, *CLIENTS),
    "store": (*GRPC, *PROTOBUF, *CONTRACTS, *CLIENTS),
    "neighbours": (*GRPC, *SQL),
    "settings": (*GRPC, *SQL, *PROTOBUF, *CONTRACTS, *CLIENTS),
    "domain": (*GRPC, *SQL, *PROTOBUF, *CONTRACTS, *CLIENTS, *HOST),
    "__main__": (),
    "migrations": (*GRPC, *PROTOBUF, *CONTRACTS, *CLIENTS),
}
# The floors of its own room that a file may stand on; the domain is open to all of them.
STANDS_ON = {
    "servicer": {"application", "wire", "servicer"},
    "wire": {"wire"},
    "application": {"application", "store", "neighbours", "settings"},
    "store": {"store"},
    "neighbours": {"neighbours", "settings", "wire"},
    "settings": {"settings"},
    "domain": set(),
    "__main__": set(FLOORS),
    "migrations": {"migrations"},
}


def floor(room: str, path: Path) -> str:
    """The floor of a file: `wire.py`, `wire_trees.py`, `config_wire.py` and `wire/x.py` are one floor."""
    inside = path.relative_to(ROOT / "services" / room).with_suffix("")
    if inside.as_posix() in PARTS[room]:
        return PARTS[room][inside.as_posix()]
    first = inside.parts[0]
    if first in FORBIDDEN or first in PARTS[room]:
        return PARTS[room].get(first, first)
    words = first.split("_")
    return next((name for name in FLOORS if name in (words[0], words[-1])), "domain")


def home(room: str, what: str) -> Path:
    """The file that a name of a room, as it is imported, lies in."""
    folder = ROOT / "services" / room
    for part in what.removeprefix(f"services.{room}.").split("."):
        if not (folder / part).is_dir():
            return folder / f"{part}.py"
        folder /= part
    return folder / "__init__.py"


def room_files(room: str) -> list[Path]:
    return [path for path in sources(f"services/{room}") if path.name != "__init__.py"]


def test_marketml_never_imports_services() -> None:
    found = [one for path in sources("marketml", "inference") for one in imports(path)]
    assert not (wrong := [one for one in found if within(one.what, "services", "tests")]), listed(wrong)


def test_what_every_room_shares_knows_no_room() -> None:
    found = [one for path in sources("services/host", "marketml/rpc") for one in imports(path)]
    rooms = [package for room in ROOMS for package in (f"marketml.{room}", f"services.{room}")]
    wrong = [one for one in found if within(one.what, *rooms, "marketml.clients", "marketml.bundle")]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_never_imports_another_room(room: str) -> None:
    others = [f"services.{other}" for other in ROOMS if other != room]
    found = [one for path in sources(f"services/{room}") for one in imports(path)]
    assert not (wrong := [one for one in found if within(one.what, *others)]), listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_reads_the_contracts_of_itself_and_of_what_stands_before_it(room: str) -> None:
    later = [f"marketml.{other}" for other in ROOMS[ROOMS.index(room) + 1 :]]
    later += ["inference"] if room != "registry" else []
    found = [one for path in sources(f"services/{room}") for one in imports(path)]
    wrong = [one for one in found if within(one.what, *later) and floor(room, one.path) != "neighbours"]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_of_a_room_imports_what_its_duty_allows(room: str) -> None:
    wrong = []
    for path in room_files(room):
        duty = floor(room, path)
        for one in imports(path):
            if within(one.what, *FORBIDDEN[duty]):
                wrong.append(Found(path, one.line, f"{duty} imports {one.what}"))
            elif within(one.what, f"services.{room}"):
                target = floor(room, home(room, one.what))
                if target != "domain" and target not in STANDS_ON[duty]:
                    wrong.append(Found(path, one.line, f"{duty} stands on {target} ({one.what})"))
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_the_domain_asks_neither_the_environment_nor_the_clock(room: str) -> None:
    clocks = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today", "Timestamp.now"}
    wrong = []
    for path in room_files(room):
        if floor(room, path) != "domain":
            continue
        for name, call in calls(path):
            if any(name == clock or name.endswith(f".{clock}") for clock in clocks) or name == "os.getenv":
                wrong.append(Found(path, call.lineno, name))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr == "environ":
                wrong.append(Found(path, node.lineno, "environ"))
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_only_neighbours_reaches_other_rooms_and_only_main_builds(room: str) -> None:
    wrong = []
    for path in room_files(room):
        for one in imports(path):
            reaches = within(one.what, *CLIENTS) and floor(room, path) not in ("neighbours", "__main__")
            builds = within(one.what, "services.host.serve", "services.host.read_settings") and (
                floor(room, path) != "__main__"
            )
            if reaches or builds:
                wrong.append(one)
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_the_same_files(room: str) -> None:
    folder = ROOT / "services" / room
    missing = [
        name
        for name in FLOORS
        if (room, name) not in ABSENT
        and not (folder / f"{name}.py").exists()
        and not (folder / name / "__init__.py").exists()
    ]
    assert not missing, f"services/{room} lacks {missing}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"common", "utils", "util", "helpers", "helper", "manager", "managers", "base", "misc", "core"}
    paths = sources("marketml", "services", "tests", "tools", "benchmarks", "deploy")
    wrong = [
        path.relative_to(ROOT) for path in paths if empty & set(path.with_suffix("").parts[len(ROOT.parts) :])
    ]
    assert not wrong
