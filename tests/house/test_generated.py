"""The generated code is what the contracts compile to, today, with the compiler of the lock."""

from __future__ import annotations

from pathlib import Path

from tests.house.tree import ROOT, is_generated
from tools.protos import compile_contracts


def generated_below(folder: Path) -> dict[str, bytes]:
    paths = [path for name in ("marketml", "inference") for path in (folder / name).rglob("*_pb2*.py*")]
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in paths if path.suffix in (".py", ".pyi")
    }


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    assert compile_contracts(tmp_path) >= 2
    fresh, committed = generated_below(tmp_path), generated_below(ROOT)
    assert sorted(committed) == sorted(fresh), "make protos"
    stale = [name for name, content in fresh.items() if committed[name] != content]
    assert not stale, f"make protos: {stale}"


def test_every_generated_package_can_be_imported() -> None:
    for name in generated_below(ROOT):
        assert is_generated(Path(name))
        assert (ROOT / name).with_name("__init__.py").exists()
