"""No bytes become code: nothing pickles, evaluates or starts a shell, and nothing is left for later."""

from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT, Found, calls, imports, listed, sources, within

EVERYWHERE = ("marketml", "services", "inference", "tests", "tools", "benchmarks", "deploy")
PICKLERS = ("pickle", "_pickle", "cPickle", "joblib", "cloudpickle", "skops", "dill", "marshal", "shelve")
EVALUATORS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
READERS = {"read_pickle", "to_pickle"}
PROVES_REFUSAL = {ROOT / "tests" / "imports" / "test_refusals.py"}  # writes a pickle that must stay unread


def test_nothing_pickles() -> None:
    found = [one for path in sources(*EVERYWHERE) for one in imports(path)]
    wrong = [one for one in found if within(one.what, *PICKLERS) and one.path not in PROVES_REFUSAL]
    for path in sources(*EVERYWHERE):
        for name, call in calls(path):
            allows = any(word.arg == "allow_pickle" and truthy(word.value) for word in call.keywords)
            if name.rpartition(".")[2] in READERS or allows:
                wrong.append(Found(path, call.lineno, name))
    assert not wrong, listed(wrong)


def test_nothing_is_evaluated_or_given_to_a_shell() -> None:
    wrong = []
    for path in sources(*EVERYWHERE):
        for name, call in calls(path):
            shell = any(word.arg == "shell" and truthy(word.value) for word in call.keywords)
            unsafe = name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load")
            if name in EVALUATORS or shell or unsafe:
                wrong.append(Found(path, call.lineno, name))
    assert not wrong, listed(wrong)


def truthy(node: ast.expr) -> bool:
    """Whether an argument is anything but a literal that is false."""
    return not (isinstance(node, ast.Constant) and not node.value)


def test_the_registry_needs_no_training_library() -> None:
    learners = ("lightgbm", "xgboost", "sklearn", "optuna", "tsfresh")
    paths = sources("services/registry", "marketml", "services/host", "services/data")
    wrong = [one for path in paths for one in imports(path) if within(one.what, *learners)]
    assert not wrong, listed(wrong)


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    wrong = [
        Found(path, number, line.strip())
        for path in sources(*EVERYWHERE)
        if path.parent != ROOT / "tests" / "house"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if later.search(line)
    ]
    assert not wrong, listed(wrong)
