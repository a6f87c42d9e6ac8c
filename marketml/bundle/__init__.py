"""The model bundle: a manifest and arrays, the form in which a model leaves training and enters the registry.

    manifest.json        canonical JSON: features, classes, graph, golden rows, digests (`manifest`, `graph`)
    model.safetensors    every number of the model as plain arrays (`tensors`, `trees`, `parameters`)
    model.lightgbm.txt, model.xgboost.ubj    the library's own file, for people; never opened here

No file holds code, and no reader here runs any. What a caller hands in is refused with its path, such as
`bundle.arrays.trees.left[17]`; `services.registry.inspection` looks into the numbers themselves.
"""

from marketml.bundle.files import FILE_NAMES, MANIFEST, TENSORS, Bundle, FileEntry, bundle_digest, file_entry
from marketml.bundle.graph import (
    Calibrate,
    Calibration,
    Concat,
    Decision,
    Graph,
    Library,
    Linear,
    Mean,
    Node,
    Sigmoid,
    Softmax,
    Trees,
)
from marketml.bundle.manifest import GoldenRows, Manifest, pack_bundle, read_manifest, write_manifest
from marketml.bundle.tensors import pack_tensors, unpack_tensors
from marketml.bundle.trees import TreeArrays

__all__ = [
    "FILE_NAMES",
    "MANIFEST",
    "TENSORS",
    "Bundle",
    "Calibrate",
    "Calibration",
    "Concat",
    "Decision",
    "FileEntry",
    "GoldenRows",
    "Graph",
    "Library",
    "Linear",
    "Manifest",
    "Mean",
    "Node",
    "Sigmoid",
    "Softmax",
    "TreeArrays",
    "Trees",
    "bundle_digest",
    "file_entry",
    "pack_bundle",
    "pack_tensors",
    "read_manifest",
    "unpack_tensors",
    "write_manifest",
]
