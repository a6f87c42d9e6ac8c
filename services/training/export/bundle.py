"""A trained result as a bundle.

The same samples, plan and seed write the same bytes: nothing here asks the time, the host or the threads.
"""

from __future__ import annotations

from collections.abc import Mapping

from marketml.bundle.canonical import JsonObject
from marketml.bundle.files import Bundle
from marketml.bundle.manifest import pack_bundle
from services.training.export.sections import FILLED_SECTIONS, filled_sections
from services.training.results import TrainedResult

CALLER_SECTIONS = frozenset({"config", "data", "features", "lineage"})
"""Sections that the caller knows and this room's pipeline does not."""


def export_bundle(result: TrainedResult, *, seed: int, sections: Mapping[str, JsonObject]) -> Bundle:
    """The bundle of a trained result: the model's arrays and graph, golden rows, sections, the libraries' own
    files.

    Parameters
    ----------
    result : TrainedResult
    seed : int
        That of the run.
    sections : mapping
        The manifest's sections in `CALLER_SECTIONS`, any of them; `importances`, `libraries`, `proof`,
        `scores` and `seeds` are written from `result`.

    Raises
    ------
    InvalidArgument, ResourceExhausted
        A bundle that no registry would take: see `marketml.bundle.manifest.pack_bundle`.
    ValueError
        A section that is not the caller's.
    """
    foreign = sorted(sections.keys() - CALLER_SECTIONS)
    if foreign:
        raise ValueError(f"Sections {foreign} are not the caller's; those are {sorted(CALLER_SECTIONS)}.")
    model = result.model
    return pack_bundle(
        feature_names=result.learned.feature_names,
        classes=result.class_names,
        graph=model.graph,
        arrays=model.arrays,
        golden=model.golden,
        native_files=model.native_files,
        sections={**sections, **filled_sections(result, seed)},
    )


__all__ = ["CALLER_SECTIONS", "FILLED_SECTIONS", "export_bundle"]
