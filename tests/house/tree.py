"""The source tree as the tests of the house read it: files, syntax trees, imports, calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("data", "features", "training", "registry")  # market data flows through them in this order


@dataclass(frozen=True)
class Found:
    """Something at a line of a file; as text it is what an editor jumps to."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.what}"


def is_generated(path: Path) -> bool:
    """Whether the compiler of the contracts wrote it."""
    return path.stem.endswith(("_pb2", "_pb2_grpc"))


def sources(*folders: str) -> list[Path]:
    """The written Python files below folders of the repository; a folder that does not exist has none."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not is_generated(path) and "__pycache__" not in path.parts]


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path) -> str:
    """`services/data/store.py` is `services.data.store`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[Found]:
    """Every module a file imports, wherever in it; `from a import b` counts as `a` and as `a.b`."""
    package = module_name(path) if path.stem == "__init__" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Found(path, node.lineno, name.name)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, module] if module else above)
            for name in node.names:
                yield Found(path, node.lineno, f"{module}.{name.name}")


def dotted(node: ast.expr) -> str:
    """`np.lib.format` as text; the end of the chain alone (`.shift`) when its start is computed."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file with the dotted name of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of the packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def listed(found: list[Found]) -> str:
    """What a failing test prints."""
    return "\n" + "\n".join(sorted(map(str, found)))
