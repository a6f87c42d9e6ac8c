"""Every way to say no has a status, and every status a way to be caught."""

from __future__ import annotations

import ast
import importlib

import grpc

from marketml.rpc import refusals
from marketml.rpc.refusals import Refusal
from marketml.rpc.statuses import CODES, code_of
from tests.house.tree import Found, dotted, listed, module_name, sources, tree


def subclasses(kind: type[Refusal]) -> list[type[Refusal]]:
    return [kind, *(below for direct in kind.__subclasses__() for below in subclasses(direct))]


def test_every_refusal_is_in_the_status_table() -> None:
    public = [
        kind
        for kind in vars(refusals).values()
        if isinstance(kind, type) and issubclass(kind, Refusal) and not kind.__name__.startswith("_")
    ]
    assert set(public) - {Refusal} == set(CODES)
    assert len(set(CODES.values())) == len(CODES)
    assert set(grpc.StatusCode) - set(CODES.values()) == {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN}


def test_every_refusal_defined_anywhere_has_a_code_of_its_own_meaning() -> None:
    for path in sources("services", "marketml"):
        bases = {
            dotted(base)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef)
            for base in node.bases
        }
        if any(base.rpartition(".")[2] in vars(refusals) for base in bases):
            importlib.import_module(module_name(path))
    for kind in subclasses(Refusal):
        if kind is not Refusal and not kind.__name__.startswith("_"):
            bare = kind.__new__(kind)
            assert code_of(bare) is not grpc.StatusCode.INTERNAL or issubclass(kind, refusals.Internal)


def test_rooms_raise_neither_internal_nor_grpc_errors() -> None:
    wrong = []
    for path in sources("services/data", "services/features", "services/training", "services/registry"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                name = dotted(node.exc.func)
                if name.rpartition(".")[2] in ("Internal", "RpcError", "Refusal"):
                    wrong.append(Found(path, node.lineno, name))
    assert not wrong, listed(wrong)
