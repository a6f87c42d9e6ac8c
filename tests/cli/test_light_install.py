"""What a caller of the stubs installs is enough for every module of `marketml`."""

import subprocess
import sys

from tests.cli.command_line import ROOT, environment

SERVER_ONLY = [
    "services",
    "alembic",
    "grpc_health",
    "grpc_reflection",
    "lightgbm",
    "numba",
    "optuna",
    "prometheus_client",
    "psutil",
    "psycopg",
    "safetensors",
    "sklearn",
    "scipy",
    "sqlalchemy",
    "tsfresh",
    "uvloop",
    "xgboost",
]

WITHOUT = f"""
import importlib, pkgutil, sys
for name in {SERVER_ONLY!r}:
    sys.modules[name] = None
"""


def run_without_servers(code: str, tmp_path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_module_is_imported_without_a_server_library(tmp_path):
    done = run_without_servers(
        """
import marketml
names = [found.name for found in pkgutil.walk_packages(marketml.__path__, "marketml.")]
for name in names:
    if name != "marketml.cli.leash":
        importlib.import_module(name)
print(len(names))
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(list((ROOT / "marketml").rglob("*.py"))) - 5


def test_starting_rooms_without_the_servers_says_how_to_install_them(tmp_path):
    done = run_without_servers(
        "from marketml.cli.main import main; sys.argv = ['marketml', 'up']; main()", tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'marketml[server]'" in done.stderr
    assert not list(tmp_path.iterdir())
