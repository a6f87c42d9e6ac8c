"""Datasets of several symbols: a series, or a snapshot, and more of them beside it."""

from __future__ import annotations

from collections.abc import Sequence

from marketml.rpc.refusals import Violation
from services.training.jobs import Tree

MAX_MORE = 31  # beside the first


def each_of(dataset: Tree) -> list[Tree]:
    """The datasets of one symbol each, in order."""
    if "snapshot_id" in dataset:
        names = [dataset["snapshot_id"], *dataset.get("more_snapshot_ids", [])]
        return [{"snapshot_id": name} for name in names]
    source = dataset["series"]
    alone = {name: value for name, value in dataset.items() if name != "more_series"}
    timeframe = source["series"]["timeframe"]
    more = [{**key, "timeframe": timeframe} for key in dataset.get("more_series", [])]
    return [alone, *({**alone, "series": {**source, "series": key}} for key in more)]


def violations_of_more(dataset: Tree, path: str) -> list[Violation]:
    """The rules that more symbols break among themselves and with the first; each is well formed."""
    found: list[Violation] = []
    for name, beside in (("more_series", "series"), ("more_snapshot_ids", "snapshot_id")):
        more = dataset.get(name, [])
        if more and beside not in dataset:
            found.append(Violation(f"{path}.{name}", "unused", f"must be empty without a {beside}."))
        if len(more) > MAX_MORE:
            words = f"may be {MAX_MORE}, are {len(more)}."
            found.append(Violation(f"{path}.{name}", "range", words))
    if found:
        return found
    if "snapshot_id" in dataset:
        names = [dataset["snapshot_id"], *dataset.get("more_snapshot_ids", [])]
        return _repeated(names, names, f"{path}.more_snapshot_ids")
    source = dataset.get("series", {})
    keys = [source.get("series", {}), *dataset.get("more_series", [])]
    instruments = [(key.get("venue", ""), key.get("symbol", "")) for key in keys]
    found += _repeated(instruments, [" ".join(each) for each in instruments], f"{path}.more_series")
    beside = source.get("reference", {})
    for index, (key, instrument) in enumerate(zip(keys[1:], instruments[1:], strict=True)):
        at = f"{path}.more_series[{index}]"
        given, timeframe = key.get("timeframe", ""), keys[0].get("timeframe", "")
        if given not in ("", timeframe):
            words = f"must be empty or {timeframe!r} as the series has it, is {given!r}."
            found.append(Violation(f"{at}.timeframe", "same", words))
        if instrument == (beside.get("venue"), beside.get("symbol")):
            words = f"must be another one than the reference, is {' '.join(instrument)}."
            found.append(Violation(at, "other", words))
    return found


def _repeated(values: Sequence[object], shown: Sequence[str], path: str) -> list[Violation]:
    return [
        Violation(
            f"{path}[{index}]", "other", f"must be another one than those before it, is {shown[index + 1]}."
        )
        for index, value in enumerate(values[1:])
        if value in values[: index + 1]
    ]
