"""Nothing forks: a forked child of a process that runs gRPC or OpenMP hangs, so workers are started fresh."""

from __future__ import annotations

import ast

import pytest

from tests.house.tree import Found, calls, dotted, imports, listed, sources, within

FORKING_CALLS = {"os.fork", "os.forkpty", "pty.fork"}
FORKING_MODULES = ("multiprocessing", "joblib", "loky")
FORKING_NAMES = ("concurrent.futures.ProcessPoolExecutor", "concurrent.futures.process")


def forks(name: str, call: ast.Call) -> bool:
    """Whether a call forks, or runs code between a fork and the program that replaces it."""
    return name in FORKING_CALLS or any(word.arg == "preexec_fn" for word in call.keywords)


def test_nothing_forks() -> None:
    wrong = []
    for path in sources("marketml", "services", "inference"):
        wrong += [one for one in imports(path) if within(one.what, *FORKING_MODULES, *FORKING_NAMES)]
        wrong += [Found(path, call.lineno, name) for name, call in calls(path) if forks(name, call)]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("line", ["os.fork()", "pty.fork()", "subprocess.Popen(command, preexec_fn=prepare)"])
def test_the_wall_sees_a_fork(line: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))
    assert forks(dotted(call.func), call)
