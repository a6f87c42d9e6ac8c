"""The command itself: help, wrong usage, and a room that is not there."""

import json
import socket

import pytest

from marketml.cli.main import _COMMANDS
from tests.cli.command_line import run


@pytest.fixture(scope="module")
def nobody():
    """An address on which nobody listens: bound, so that nobody else takes it, and never listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_help_names_every_command(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in _COMMANDS)


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_explains_itself(tmp_path, name):
    done = run(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("data", "query"),
        ("data", "query", "--venue", "x", "--symbol", "A/B", "--start", "soon", "--timeframe", "1h"),
        ("data", "query", "--venue", "x", "--symbol", "A/B", "--kind", "funding", "--timeframe", "1h"),
        ("data", "import", "x.csv", "--venue", "x", "--column", "open"),
        ("train", "start", "absent.yaml"),
        ("predict", "m", "--version", "1", "--alias", "champion"),
        ("config", "set", "no-equals-sign"),
        ("models", "list", "--tls-key", "absent.pem"),
    ],
)
def test_wrong_usage_ends_with_2(tmp_path, arguments):
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: " in done.stderr


def test_a_room_that_is_not_there_is_a_failure_not_a_refusal(tmp_path, nobody):
    done = run("models", "list", cwd=tmp_path, MARKETML_ENDPOINT_REGISTRY=nobody)
    assert done.returncode == 1
    assert done.stderr.startswith("Failed: ")
    as_json = run("models", "list", "--json", "--registry-endpoint", nobody, cwd=tmp_path)
    assert as_json.returncode == 1
    assert json.loads(as_json.stderr)["error"]["status"] == 1
    assert as_json.stdout == ""


def test_status_names_the_rooms_that_do_not_answer(tmp_path, nobody):
    variables = {f"MARKETML_ENDPOINT_{room}": nobody for room in ("DATA", "FEATURES", "TRAINING", "REGISTRY")}
    done = run("status", "--json", cwd=tmp_path, **variables)
    assert done.returncode == 1
    answers = json.loads(done.stdout)
    assert [answer["answers"] for answer in answers.values()] == [False] * 4


def test_a_file_is_explained_without_any_room(tmp_path):
    path = tmp_path / "trades.csv"
    path.write_text("1672531436,90.54,1.1\n1672531471,90.45,1.0\n")
    done = run("data", "import", str(path), "--venue", "x", "--symbol", "A/B", "--dry-run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Failed: The file looks like trades")
