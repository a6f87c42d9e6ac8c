"""Reproducing: a registered model is trained again from its manifest, and what came out is held against it.

Where the bytes differ, the first input that does is named, in this order: data, config, code, libraries,
hardware. Code and hardware are in no manifest, for a comment or another processor need not change a model;
they are known where the room still has the job that trained it.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from marketml.bundle.files import MANIFEST, TENSORS, Bundle
from marketml.bundle.tensors import unpack_tensors
from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Violation
from services.training.config import fill_config
from services.training.jobs import Tree
from services.training.machine import code_digest, machine_kind
from services.training.rooms import RegisteredModel

_OF_FILES = frozenset({"files", "format_version"})  # of a manifest: follow from the rest
MAX_PARTS = 50


class InputKind(StrEnum):
    """What a model comes from, in the order in which it is compared; by the names in the contract."""

    DATA = "INPUT_KIND_DATA"
    CONFIG = "INPUT_KIND_CONFIG"
    CODE = "INPUT_KIND_CODE"
    LIBRARY = "INPUT_KIND_LIBRARY"
    HARDWARE = "INPUT_KIND_HARDWARE"


@dataclass(frozen=True)
class Difference:
    """An input that is not what it was: its name, and both values as text, empty where there is none."""

    kind: InputKind
    name: str
    then: str
    now: str
    description: str


@dataclass(frozen=True)
class Origin:
    """What a job is told of the model that it trains again; `code_digest` and `machine_kind` are None where
    nobody knows them any more."""

    model_version: int
    model_digest: str
    code_digest: str | None = None
    machine_kind: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What came of it: `found` is in the words of the contract; `job_id` is empty when no job was needed."""

    model_name: str
    model: RegisteredModel
    job_id: str
    found: Tree


def config_of(manifest: Mapping[str, Any], budget: Tree, limits: Tree) -> tuple[Tree, Difference | None]:
    """The filled config of the job that trains a model again, and why there is none, if this version does not
    take the model's.

    Parameters
    ----------
    manifest
        Of the model.
    budget, limits : Tree
        Bounds of the job and of its features: they decide no model and are in no manifest.

    Raises
    ------
    FailedPrecondition
        The model has no config or snapshot, or a stop, or the time of its search, cut it: its inputs do not
        decide it.
    InvalidArgument
        The bounds break a rule.
    """
    known, data = manifest.get("config"), manifest.get("data", {})
    if known is None or "snapshot_id" not in data:
        raise FailedPrecondition(
            "model", "The manifest lacks a config or a snapshot: nothing can be repeated."
        )
    if manifest.get("scores", {}).get("model", {}).get("stopped"):
        raise FailedPrecondition(
            "model", "A stop cut the model at a moment that is no input: it cannot be repeated."
        )
    trials = manifest.get("scores", {}).get("search", {})
    if trials.get("trial_count") != trials.get("planned_count"):
        raise FailedPrecondition(
            "model", "Time cut the model's search at a moment that is no input: it cannot be repeated."
        )
    dataset: Tree = {"snapshot_id": data["snapshot_id"]}
    if more := [each["snapshot_id"] for each in data.get("more", [])]:
        dataset["more_snapshot_ids"] = more
    given = {**known, "dataset": dataset, "budget": budget}
    given["features"] = {**known["features"], **({"limits": limits} if limits else {})}
    filled, violations = fill_config(given, {})
    bounds = [
        Violation(each.field.removeprefix("config."), each.rule, each.description)
        for each in violations
        if each.field.startswith("config.budget.")
    ]
    if bounds:
        raise InvalidArgument(bounds)
    if violations:
        first = violations[0]
        words = f"This version does not take the config: {first.field} {first.description}"
        return filled, Difference(InputKind.CONFIG, first.field, "", "", words)
    return filled, None


def compare(origin: Origin, then: Bundle, now: Bundle) -> Tree:
    """What came of a reproduction, in the words of the contract.

    Parameters
    ----------
    then
        As it is registered.
    now
        As it was trained again.
    """
    found: Tree = {"reproduced_digest": now.digest, "is_equal": then.digest == now.digest}
    if found["is_equal"]:
        return found
    before, after = json.loads(then.contents[MANIFEST]), json.loads(now.contents[MANIFEST])
    difference = first_difference(origin, before, after)
    if difference is not None:
        found["first_difference"] = asdict(difference)
    parts = list(_parts(then, now, before, after))
    found["differing_parts"] = parts[:MAX_PARTS]
    return found


def first_difference(
    origin: Origin, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Difference | None:
    """The first input of two manifests that differs; None where all that is known is the same."""
    return (
        _first(InputKind.DATA, "data", before.get("data", {}), after.get("data", {}))
        or _first(InputKind.CONFIG, "config", before.get("config", {}), after.get("config", {}))
        or _first(InputKind.CONFIG, "seeds", before.get("seeds", {}), after.get("seeds", {}))
        or _first(InputKind.CODE, "features", before.get("features", {}), after.get("features", {}))
        or _code(origin, before)
        or _library(before)
        or _told(InputKind.HARDWARE, "machine_kind", origin.machine_kind, machine_kind())
    )


def _code(origin: Origin, before: Mapping[str, Any]) -> Difference | None:
    known = before.get("libraries", {}).get("marketml")
    return _told(InputKind.CODE, "marketml", known, importlib.metadata.version("marketml")) or _told(
        InputKind.CODE, "code_digest", origin.code_digest, code_digest()
    )


def _library(before: Mapping[str, Any]) -> Difference | None:
    for name, known in sorted(before.get("libraries", {}).items()):
        if name == "marketml":
            continue
        try:
            mine = platform.python_version() if name == "python" else importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            mine = ""
        if found := _told(InputKind.LIBRARY, name, known, mine):
            return found
    return None


def _told(kind: InputKind, name: str, then: str | None, now: str) -> Difference | None:
    if then is None or then == now:
        return None
    return Difference(kind, name, then, now, f"{name} was {then}, is {now or 'not there'}.")


def _first(kind: InputKind, path: str, then: Any, now: Any) -> Difference | None:
    """The first place, by name, in which two JSON values differ."""
    for at, before, after in _differing(path, then, now):
        was, is_now = _text(before), _text(after)
        words = f"{at} was {was or 'not there'}, is {is_now or 'not there'}."
        return Difference(kind, at, was, is_now, words)
    return None


_ABSENT = object()


def _differing(path: str, then: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in sorted(then.keys() | now.keys()):
            yield from _differing(f"{path}.{name}", then.get(name, _ABSENT), now.get(name, _ABSENT))
    elif then is _ABSENT or now is _ABSENT or then != now:
        yield path, then, now


def _text(value: Any) -> str:
    text = "" if value is _ABSENT else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _parts(then: Bundle, now: Bundle, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Which parts of two bundles differ: sections of the manifest, arrays, files."""
    for name in sorted((before.keys() | after.keys()) - _OF_FILES):
        if before.get(name) != after.get(name):
            yield f"{MANIFEST}: {name}"
    if then.contents[TENSORS] != now.contents[TENSORS]:
        old, new = unpack_tensors(then.contents[TENSORS]), unpack_tensors(now.contents[TENSORS])
        for name in sorted(old.keys() | new.keys()):
            if name not in old or name not in new or old[name].tobytes() != new[name].tobytes():
                yield f"{TENSORS}: {name}"
    for name in sorted((then.contents.keys() | now.contents.keys()) - {MANIFEST, TENSORS}):
        if then.contents.get(name) != now.contents.get(name):
            yield name
