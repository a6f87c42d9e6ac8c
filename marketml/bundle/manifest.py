"""The manifest: what a model is, in canonical JSON, with the digest of every other file of its bundle.

It holds no time, host or job: training again with the same seed writes the same bytes. Every feature is a
float64 column; NaN is a missing value. What only people and other rooms read stands in free sections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from marketml.bundle.canonical import Fields, JsonObject, read_canonical_json, write_canonical_json
from marketml.bundle.files import FILE_NAMES, MANIFEST, TENSORS, Bundle, FileEntry, file_entry
from marketml.bundle.graph import MAX_CLASSES, MAX_FEATURES, Graph, require_graph
from marketml.bundle.graph_text import read_graph, write_graph
from marketml.bundle.tensors import PATH as ARRAYS_PATH
from marketml.bundle.tensors import Arrays, pack_tensors
from marketml.rpc.refusals import InvalidArgument, ResourceExhausted

PATH = "bundle.manifest"
FORMAT_VERSION = 1
MAX_MANIFEST_BYTES = 3 * 2**20  # travels in one message of 4 MiB
MAX_NAME_CHARACTERS = 200
MAX_GOLDEN_ROWS = 1_024

SECTIONS = ("config", "data", "features", "importances", "libraries", "lineage", "proof", "scores", "seeds")
"""The manifest's free sections: each a JSON object that this package carries and does not look into."""


@dataclass(frozen=True)
class Manifest:
    """What a model is.

    Attributes
    ----------
    feature_names : tuple of str
        The columns that the model takes, in order, each float64.
    classes : tuple of str
        The labels whose probabilities it gives, in order.
    graph : Graph
    files : tuple of FileEntry
        Every file of the bundle but the manifest, in order of name.
    golden_rows : int
        Rows whose answers by the training library stand among the arrays, to be answered alike before the
        model serves.
    sections : mapping of str to JSON object
        See `SECTIONS`.
    """

    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    graph: Graph
    files: tuple[FileEntry, ...]
    golden_rows: int
    sections: Mapping[str, JsonObject] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class GoldenRows:
    """Rows and what the training library answers: features (rows, features), raw scores (rows, width of the
    raw node), probabilities (rows, classes); all float64."""

    features: npt.NDArray[np.float64]
    raw: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]


def pack_bundle(
    *,
    feature_names: Sequence[str],
    classes: Sequence[str],
    graph: Graph,
    arrays: Arrays,
    golden: GoldenRows,
    native_files: Mapping[str, bytes],
    sections: Mapping[str, JsonObject],
) -> Bundle:
    """The bundle of a model; it obeys every rule that `read_manifest` has.

    Raises
    ------
    InvalidArgument, ResourceExhausted
        See `read_manifest`; also NaN or infinity in a section.
    """
    tensors = pack_tensors(
        {
            **arrays,
            "golden.features": golden.features,
            "golden.raw": golden.raw,
            "golden.probabilities": golden.probabilities,
        }
    )
    contents = {TENSORS: tensors, **native_files}
    manifest = Manifest(
        tuple(feature_names),
        tuple(classes),
        graph,
        tuple(file_entry(name, contents[name]) for name in sorted(contents)),
        golden.features.shape[0],
        sections,
    )
    try:
        text = write_manifest(manifest)
    except (ValueError, TypeError) as error:
        raise InvalidArgument.of(f"{PATH}.sections", "json", f"must be finite JSON: {error}") from None
    read_manifest(text)
    return Bundle({MANIFEST: text, **contents})


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as canonical JSON."""
    return write_canonical_json(
        {
            **manifest.sections,
            "format_version": FORMAT_VERSION,
            "feature_names": list(manifest.feature_names),
            "classes": list(manifest.classes),
            "graph": write_graph(manifest.graph),
            "golden": {"rows": manifest.golden_rows},
            "files": [
                {"name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256}
                for file in manifest.files
            ],
        }
    )


def read_manifest(data: bytes) -> Manifest:
    """Read a manifest, and check all that can be checked without the other files.

    Raises
    ------
    ResourceExhausted
        More than `MAX_MANIFEST_BYTES` or `MAX_FEATURES`.
    InvalidArgument
        Any broken rule, with its path (`bundle.manifest.graph.nodes[0].op`).
    """
    fields = Fields(read_canonical_json(data, PATH, MAX_MANIFEST_BYTES), PATH)
    version = fields.count("format_version", 0, 2**31)
    if version != FORMAT_VERSION:
        raise InvalidArgument.of(
            f"{PATH}.format_version", "unknown_version", f"must be {FORMAT_VERSION}, is {version}."
        )
    golden = Fields(fields.object("golden"), f"{PATH}.golden")
    manifest = Manifest(
        feature_names=_read_names(fields.list("feature_names"), "feature_names", MAX_FEATURES),
        classes=_read_names(fields.list("classes"), "classes", MAX_CLASSES),
        graph=read_graph(fields.object("graph")),
        files=_read_files(fields.list("files")),
        golden_rows=golden.count("rows", 1, MAX_GOLDEN_ROWS),
        sections=MappingProxyType(
            {name: found for name in SECTIONS if (found := fields.optional_object(name)) is not None}
        ),
    )
    golden.finish()
    fields.finish()
    if len(manifest.classes) < 2:
        raise InvalidArgument.of(f"{PATH}.classes", "range", "must be two or more.")
    require_graph(manifest.graph, len(manifest.feature_names), len(manifest.classes))
    return manifest


def read_golden_rows(manifest: Manifest, arrays: Arrays) -> GoldenRows:
    """The golden rows among the arrays, of the sizes that the manifest says.

    Raises
    ------
    InvalidArgument
        An array that is absent or has another dtype or shape.
    """
    shapes = require_graph(manifest.graph, len(manifest.feature_names), len(manifest.classes))
    widths = {
        "features": len(manifest.feature_names),
        "raw": shapes[manifest.graph.raw].width,
        "probabilities": len(manifest.classes),
    }
    found = {}
    for name, width in widths.items():
        array = arrays.get(f"golden.{name}")
        wanted = (manifest.golden_rows, width)
        if array is None or array.shape != wanted or array.dtype != np.float64:
            raise InvalidArgument.of(f"{ARRAYS_PATH}.golden.{name}", "shape", f"must be float64 {wanted}.")
        found[name] = array
    return GoldenRows(**found)


def _read_names(values: list[Any], name: str, limit: int) -> tuple[str, ...]:
    path = f"{PATH}.{name}"
    if not values:
        raise InvalidArgument.of(path, "required", "must not be empty.")
    if len(values) > limit:
        raise ResourceExhausted(path, f"{path} may have {limit} names, has {len(values)}.")
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if not (isinstance(value, str) and value.isprintable() and 0 < len(value) <= MAX_NAME_CHARACTERS):
            raise InvalidArgument.of(
                f"{path}[{index}]", "name", f"must be 1 to {MAX_NAME_CHARACTERS} printable characters."
            )
        if value in first:
            raise InvalidArgument.of(
                f"{path}[{index}]", "unique", f"{value!r} is also {path}[{first[value]}]."
            )
        first[value] = index
    return tuple(first)


def _read_files(values: list[Any]) -> tuple[FileEntry, ...]:
    path = f"{PATH}.files"
    if len(values) > len(FILE_NAMES) - 1:
        raise InvalidArgument.of(path, "range", f"may be {len(FILE_NAMES) - 1}, are {len(values)}.")
    entries = []
    for index, value in enumerate(values):
        fields = Fields(value, f"{path}[{index}]")
        entries.append(
            FileEntry(fields.text("name"), fields.count("size_bytes", 0, 2**62), fields.text("sha256"))
        )
        fields.finish()
    names = [entry.name for entry in entries]
    if names != sorted(set(names)) or MANIFEST in names or TENSORS not in names:
        raise InvalidArgument.of(
            path, "files", f"must list {TENSORS} and the native files, once each, in order of name."
        )
    return tuple(entries)
