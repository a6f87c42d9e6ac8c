"""The tests themselves: nothing mocked, nothing slept, no port that another run could hold."""

from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT, Found, calls, imports, listed, sources, tree, within

# Settings are read, never bound, there.
READS_ADDRESSES = {ROOT / "tests" / "host" / "test_settings.py"}
# The one place that polls, and a process that plays a busy worker.
WAITS = {ROOT / "tests" / "support" / "waiting.py", ROOT / "tests" / "training" / "scripted_worker.py"}


def test_no_test_mocks() -> None:
    found = [one for path in sources("tests") for one in imports(path)]
    wrong = [one for one in found if within(one.what, "unittest", "mock", "pytest_mock")]
    assert not wrong, listed(wrong)


def test_no_test_sleeps() -> None:
    wrong = [
        Found(path, call.lineno, name)
        for path in sources("tests")
        if path not in WAITS
        for name, call in calls(path)
        if name in ("time.sleep", "sleep")
    ]
    assert not wrong, listed(wrong)


def test_no_test_has_a_port_of_its_own() -> None:
    address = re.compile(r"(127\.0\.0\.1|localhost|0\.0\.0\.0|\[::1?\]):[1-9]\d+")
    wrong = [
        Found(path, node.lineno, node.value)
        for path in sources("tests")
        if path not in READS_ADDRESSES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and address.fullmatch(node.value)
    ]
    assert not wrong, listed(wrong)


def test_the_readme_names_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        name for line in re.findall(r"^([a-z][a-z -]*):", makefile, re.MULTILINE) for name in line.split()
    }
    for name in ("README.md", ".ci/run"):
        text = (ROOT / name).read_text()
        named = set(re.findall(r"(?:`|^\s*\$? ?|^step )make ([a-z][a-z-]*)", text, re.MULTILINE))
        assert named <= targets, f"{name}: {sorted(named - targets)}"
