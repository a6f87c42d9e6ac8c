"""The cost meter: a host is measured once, in a process that ends with its server."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from marketml.rpc.refusals import Unavailable
from services.host.database import Database, open_database
from services.training.__main__ import MIGRATIONS
from services.training.forecasting.cost_meter import AGAIN_SECONDS, CostMeter
from services.training.forecasting.cost_model import write_costs
from services.training.forecasting.cost_store import CostStore
from tests.support.waiting import eventually
from tests.training.costs import made_costs

ANSWERS = "import sys; print(open(sys.argv[1]).read(), flush=True)"
HANGS = "import sys; sys.stdin.read()"
FAILS = "raise SystemExit(3)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path}/training.sqlite", migrations=MIGRATIONS) as opened:
        yield opened


def meter(database: Database, script: str, *words: str, host_key: str = "a" * 64) -> CostMeter:
    return CostMeter(CostStore(database), host_key, (sys.executable, "-c", script, *words), 1)


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "-c" in child.cmdline()]


def test_a_host_is_measured_once_and_its_costs_are_kept(database: Database, tmp_path: Path) -> None:
    said = tmp_path / "costs.json"
    said.write_text(json.dumps(write_costs(made_costs())))
    first = meter(database, ANSWERS, str(said))
    with pytest.raises(Unavailable) as refused:
        first.costs()
    assert refused.value.retry_after_seconds >= AGAIN_SECONDS

    def measured() -> bool:
        try:
            return first.costs() == made_costs()
        except Unavailable:
            return False

    eventually(measured, 30, "the costs of this host")
    first.close()
    again = meter(database, FAILS)
    again.start()
    assert again.costs() == made_costs()
    again.close()
    other = meter(database, FAILS, host_key="b" * 64)
    with pytest.raises(Unavailable):
        other.costs()
    other.close()


def test_what_measures_ends_with_the_room(database: Database) -> None:
    hanging = meter(database, HANGS)
    hanging.start()
    eventually(children, 30, "the process that measures")
    hanging.close()
    assert not children()
    with pytest.raises(Unavailable):
        hanging.costs()
    assert not children(), "a room that ends begins nothing"


def test_a_measurement_that_fails_is_tried_again_when_it_is_asked_for(
    database: Database, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    said = tmp_path / "costs.json"
    said.write_text(json.dumps(write_costs(made_costs())))
    script = (
        "import pathlib, sys\n"
        "mark = pathlib.Path(sys.argv[2])\n"
        "if not mark.exists(): mark.touch(); raise SystemExit(3)\n"
        "print(open(sys.argv[1]).read(), flush=True)\n"
    )
    failing = meter(database, script, str(said), str(mark))

    def measured() -> bool:
        try:
            return failing.costs() == made_costs()
        except Unavailable:
            return False

    eventually(measured, 30, "the costs of this host, at the second try")
    failing.close()
