"""Features look back only: no centred window, no negative shift, nothing filled from what comes later."""

from __future__ import annotations

import ast

import pytest

from tests.house.tree import ROOT, Found, calls, dotted, listed, sources, tree

BACKWARD_FILLS = {"bfill", "backfill", "interpolate"}
SHIFTS = {"shift", "diff", "pct_change", "roll", "tshift"}


def is_negative(node: ast.expr) -> bool:
    """Whether an argument is a minus sign before anything, or a negative number."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return True
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value < 0


def looks_ahead(module: ast.Module) -> list[tuple[int, str]]:
    """The lines of a syntax tree that use what comes later."""
    found = []
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func).rpartition(".")[2]
        words = {word.arg: word.value for word in node.keywords}
        if "center" in words and not (
            isinstance(words["center"], ast.Constant) and not words["center"].value
        ):
            found.append((node.lineno, f"{name}(center=…)"))
        if name in BACKWARD_FILLS:
            found.append((node.lineno, name))
        steps = [value for word, value in words.items() if word in ("periods", "n", "shift", "freq")]
        if name in SHIFTS and any(map(is_negative, [*node.args, *steps])):
            found.append((node.lineno, f"{name} by a negative number"))
        texts = {value.value for value in [*node.args, *words.values()] if isinstance(value, ast.Constant)}
        if texts & {"bfill", "backfill", "nearest"}:
            found.append((node.lineno, f"{name} with a direction from the future"))
        if name == "merge_asof" and texts & {"forward"}:
            found.append((node.lineno, "merge_asof forward"))
    return found


@pytest.mark.parametrize("folder", ["services/features", "services/data"])
def test_nothing_before_training_looks_ahead(folder: str) -> None:
    wrong = [Found(path, line, what) for path in sources(folder) for line, what in looks_ahead(tree(path))]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize(
    "line",
    [
        "x.rolling(3, center=True).mean()",
        "x.shift(-1)",
        "x.shift(periods=-bars)",
        "np.roll(x, -1)",
        "x.diff(-1)",
        "x.pct_change(periods=-5)",
        "x.bfill()",
        "x.fillna(method='bfill')",
        "x.interpolate()",
        "pd.merge_asof(a, b, direction='forward')",
        "x.reindex(index, method='nearest')",
    ],
)
def test_the_wall_sees_every_way_to_look_ahead(line: str) -> None:
    assert looks_ahead(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "x.rolling(3).mean()",
        "x.rolling(3, center=False)",
        "np.diff(x, prepend=-1)",
        "x.shift(1)",
        "x.shift(bars)",
        "x.ffill()",
    ],
)
def test_the_wall_lets_looking_back_through(line: str) -> None:
    assert not looks_ahead(ast.parse(line))


def test_labels_live_in_training_alone() -> None:
    assert not (ROOT / "services" / "features" / "labels.py").exists()
    wrong = [
        Found(path, call.lineno, name)
        for path in sources("services/features", "services/data")
        for name, call in calls(path)
        if name.rpartition(".")[2].startswith(("triple_barrier", "fixed_horizon"))
    ]
    assert not wrong, listed(wrong)
