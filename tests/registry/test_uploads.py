"""Uploads over a real channel: what is refused and leaves nothing, and that repeats have one effect."""

from __future__ import annotations

import hashlib
import json
import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest

from marketml.bundle import MANIFEST, TENSORS, Bundle
from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import AlreadyExists, DataLoss, InvalidArgument, Refusal, ResourceExhausted
from tests.registry.bundles import Stumps, with_arrays, with_file
from tests.support.waiting import eventually

BUNDLE = Stumps().bundle


def header_of(bundle: Bundle = BUNDLE, **changes) -> pb.UploadHeader:
    header = pb.UploadHeader(
        request_id="r1",
        model_name="btc",
        files=[
            pb.ModelFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
            for file in bundle.files
        ],
    )
    for name, value in changes.items():
        setattr(header, name, value)
    return header


def pieces_of(bundle: Bundle = BUNDLE) -> list[pb.FilePiece]:
    return [pb.FilePiece(name=name, data=content) for name, content in bundle.contents.items()]


def messages(header: pb.UploadHeader | None, pieces: list[pb.FilePiece]) -> list[pb.UploadModelRequest]:
    first = [] if header is None else [pb.UploadModelRequest(header=header)]
    return first + [pb.UploadModelRequest(piece=piece) for piece in pieces]


def refusal_of(registry, sent: list[pb.UploadModelRequest]) -> Refusal:
    """What the server says; nothing of the upload may be left."""
    with pytest.raises(Refusal) as refused:
        registry.stub.UploadModel(iter(sent))
    eventually(lambda: not registry.incoming(), what="the end of the temporary files")
    assert registry.blobs() == set()
    assert registry.client.list_models() == []
    return refused.value


def field_of(refusal: Refusal) -> str:
    assert isinstance(refusal, InvalidArgument), refusal
    return refusal.violations[0].field


def _with_file(position: int, **changes) -> pb.UploadHeader:
    header = header_of()
    for name, value in changes.items():
        setattr(header.files[position], name, value)
    return header


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (header_of(request_id=""), "header.request_id"),
        (header_of(request_id="a b"), "header.request_id"),
        (header_of(request_id="x" * 129), "header.request_id"),
        (header_of(model_name=""), "header.model_name"),
        (header_of(model_name="../../etc/passwd"), "header.model_name"),
        (header_of(model_name="BTC"), "header.model_name"),
        (header_of(model_name="a" * 65), "header.model_name"),
        (header_of(model_name="a\0b"), "header.model_name"),
        (header_of(job_id="job"), "header.job_id"),
        (header_of(job_id="A" * 32), "header.job_id"),
        (pb.UploadHeader(request_id="r1", model_name="btc"), "header.files"),
        (header_of(Bundle({MANIFEST: b"{}"})), "header.files"),
        (_with_file(0, name="../manifest.json"), "header.files[0].name"),
        (_with_file(0, name="model.pkl"), "header.files[0].name"),
        (_with_file(1, name=MANIFEST), "header.files[1].name"),
        (_with_file(2, size_bytes=-1), "header.files[2].size_bytes"),
        (_with_file(2, size_bytes=0), "header.files[2].size_bytes"),
        (_with_file(2, size_bytes=2**62), "header.files[2].size_bytes"),
        (_with_file(2, sha256="0" * 63), "header.files[2].sha256"),
        (_with_file(2, sha256="G" * 64), "header.files[2].sha256"),
        (_with_file(2, sha256=""), "header.files[2].sha256"),
    ],
)
def test_a_bad_header_is_refused_with_its_path(shared_registry, header, field):
    assert field_of(refusal_of(shared_registry, messages(header, pieces_of()))) == field


def test_more_files_than_there_are_names_are_refused(shared_registry):
    header = header_of()
    for _ in range(100):
        header.files.add().CopyFrom(header.files[0])
    assert field_of(refusal_of(shared_registry, messages(header, []))) == "header.files"


def test_a_bundle_that_announces_too_many_bytes_is_refused_before_any_arrive(shared_registry):
    header = header_of()
    header.files[0].size_bytes = header.files[1].size_bytes = 300 * 2**20
    assert isinstance(refusal_of(shared_registry, messages(header, [])), ResourceExhausted)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ([], "header"),
        (messages(None, pieces_of()), "header"),
        ([pb.UploadModelRequest()], "header"),
        ([*messages(header_of(), []), pb.UploadModelRequest(header=header_of())], "piece"),
        ([*messages(header_of(), []), pb.UploadModelRequest()], "piece"),
        (messages(header_of(), [pb.FilePiece(name="model.xgboost.ubj", data=b"x")]), "piece.name"),
        (messages(header_of(), [pb.FilePiece(name="/etc/passwd", data=b"x")]), "piece.name"),
        (messages(header_of(), [pb.FilePiece(name=MANIFEST, data=b"")]), "piece.data"),
        (messages(header_of(), [pb.FilePiece(name=TENSORS, data=bytes(2**20 + 1))]), "piece.data"),
        (
            messages(
                header_of(),
                [
                    pb.FilePiece(name=MANIFEST, data=b"x"),
                    pb.FilePiece(name=TENSORS, data=b"x"),
                    pb.FilePiece(name=MANIFEST, data=b"x"),
                ],
            ),
            "piece.name",
        ),
    ],
)
def test_a_stream_out_of_order_is_refused_with_its_path(shared_registry, sent, field):
    assert field_of(refusal_of(shared_registry, sent)) == field


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        pieces_of()[:-1],
        [pb.FilePiece(name=piece.name, data=piece.data[:-1]) for piece in pieces_of()],
        [pb.FilePiece(name=piece.name, data=piece.data + b"\n") for piece in pieces_of()],
        [pb.FilePiece(name=piece.name, data=bytes(len(piece.data))) for piece in pieces_of()],
    ],
    ids=["nothing", "a file too few", "too short", "too long", "other bytes"],
)
def test_bytes_that_are_not_those_announced_are_data_loss(shared_registry, pieces):
    assert isinstance(refusal_of(shared_registry, messages(header_of(), pieces)), DataLoss)


def _set(name, index, value):
    def change(arrays):
        arrays[name][index] = value

    return change


def _without(name):
    return lambda arrays: arrays.pop(name)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_set("trees.left", 3, 0), "bundle.arrays.trees.left[3]"),
        (_set("trees.right", 3, 99), "bundle.arrays.trees.right[3]"),
        (_set("trees.right", 3, -1), "bundle.arrays.trees.right[3]"),
        (_set("trees.feature", 5, 4), "bundle.arrays.trees.feature[5]"),
        (_set("trees.feature", 5, -1), "bundle.arrays.trees.feature[5]"),
        (_set("trees.threshold", 2, np.nan), "bundle.arrays.trees.threshold[2]"),
        (_set("trees.leaves", (4, 0), np.inf), "bundle.arrays.trees.leaves[4][0]"),
        (_set("trees.node_offsets", 1, 2**62), "bundle.arrays.trees.node_offsets"),
        (_set("golden.probabilities", (0, 0), 0.5), "bundle.arrays.golden.probabilities[0][0]"),
        (_without("trees.default_left"), "bundle.arrays.trees.default_left"),
    ],
)
def test_a_hostile_bundle_is_refused_with_the_path_inside_it(shared_registry, change, field):
    bundle = with_arrays(BUNDLE, change)
    refused = refusal_of(shared_registry, messages(header_of(bundle), pieces_of(bundle)))
    assert field_of(refused).startswith(field)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"a":1}', b"\xff\xfe", BUNDLE.contents[MANIFEST] + b" ", b"[" * 100_000],
    ids=["cut", "list", "fields", "no utf-8", "not canonical", "bomb"],
)
def test_a_manifest_that_is_none_is_refused(shared_registry, content):
    bundle = Bundle({**BUNDLE.contents, MANIFEST: content})
    refused = refusal_of(shared_registry, messages(header_of(bundle), pieces_of(bundle)))
    assert field_of(refused).startswith("bundle.manifest")


def test_files_that_the_manifest_does_not_name_are_refused(shared_registry):
    stranger = Bundle({**BUNDLE.contents, "model.xgboost.ubj": b"{}"})
    refused = refusal_of(shared_registry, messages(header_of(stranger), pieces_of(stranger)))
    assert field_of(refused) == "bundle.manifest.files"
    other = Bundle({**BUNDLE.contents, "model.lightgbm.txt": b"another tree\n"})
    assert field_of(refusal_of(shared_registry, messages(header_of(other), pieces_of(other)))) == (
        "bundle.manifest.files"
    )


def test_a_snapshot_id_that_is_none_is_refused(shared_registry):
    manifest = json.loads(BUNDLE.contents[MANIFEST])
    manifest["data"] = {"snapshot_id": "\0" * 64}
    content = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    bundle = Bundle({**BUNDLE.contents, MANIFEST: content})
    refused = refusal_of(shared_registry, messages(header_of(bundle), pieces_of(bundle)))
    assert field_of(refused) == "bundle.manifest.data.snapshot_id"


def test_a_caller_who_leaves_leaves_nothing(registry):
    sent: queue.SimpleQueue = queue.SimpleQueue()
    for message in messages(header_of(), pieces_of()[:1]):
        sent.put(message)
    call = registry.stub.UploadModel.future(iter(sent.get, None))
    eventually(registry.incoming, what="the first file")
    call.cancel()
    sent.put(None)
    with pytest.raises(grpc.FutureCancelledError):
        call.result(20)
    eventually(lambda: not registry.incoming(), what="the end of the temporary files")
    assert registry.client.list_models() == []


def test_the_same_bytes_under_one_name_are_one_version(registry):
    first = registry.client.upload_model("btc", BUNDLE)
    assert registry.client.upload_model("btc", BUNDLE) == first
    elsewhere = registry.client.upload_model("eth", BUNDLE)
    assert (elsewhere.version, elsewhere.digest) == (1, first.digest)
    assert registry.client.get_status().stored_bytes == first.size_bytes
    assert registry.client.delete_model("eth", 1) == 0, "the other name still needs the bytes"
    assert registry.client.download_model("btc").contents == BUNDLE.contents


def test_a_repeated_request_is_answered_as_before(registry):
    first = registry.client.upload_model("btc", BUNDLE, request_id="r1")
    registry.client.delete_model("btc", 1)
    assert registry.client.upload_model("btc", BUNDLE, request_id="r1") == first
    assert registry.client.list_models() == []


def test_a_request_id_used_for_another_bundle_is_refused(registry):
    registry.client.upload_model("btc", BUNDLE, request_id="r1")
    before = registry.blobs()
    with pytest.raises(AlreadyExists):
        registry.client.upload_model("btc", Stumps(2).bundle, request_id="r1")
    assert registry.blobs() == before
    assert len(registry.client.list_models()) == 1


def test_a_job_registers_one_version(registry):
    job = "a" * 32
    first = registry.client.upload_model("btc", BUNDLE, job_id=job)
    assert registry.client.upload_model("btc", BUNDLE, job_id=job) == first
    before = registry.blobs()
    for name, bundle in (("btc", Stumps(2).bundle), ("eth", BUNDLE)):
        with pytest.raises(AlreadyExists):
            registry.client.upload_model(name, bundle, job_id=job)
    assert registry.blobs() == before
    assert registry.client.list_models() == [first]


def test_fifty_uploads_of_one_bundle_at_once_are_one_version(registry):
    with ThreadPoolExecutor(50) as callers:
        found = list(callers.map(lambda _: registry.client.upload_model("btc", BUNDLE), range(50)))
    assert {(model.version, model.digest) for model in found} == {(1, BUNDLE.digest)}
    assert len(registry.client.list_models()) == 1
    assert registry.blobs() == {file.sha256 for file in BUNDLE.files}


def test_fifty_uploads_of_other_bundles_at_once_are_fifty_versions(registry):
    bundles = [Stumps(seed).bundle for seed in range(50)]
    with ThreadPoolExecutor(50) as callers:
        found = list(callers.map(lambda bundle: registry.client.upload_model("btc", bundle), bundles))
    assert sorted(model.version for model in found) == list(range(1, 51))
    assert [model.digest for model in found] == [bundle.digest for bundle in bundles]
    assert registry.blobs() == {file.sha256 for bundle in bundles for file in bundle.files}
    eventually(lambda: not registry.incoming(), what="the end of the temporary files")


def test_uploads_and_deletions_at_once_never_lose_the_bytes_of_a_version(registry):
    """Deleting one name's version and registering the same bytes under another race for the same files."""

    def register(number: int) -> None:
        registry.client.upload_model(f"name-{number}", BUNDLE)
        if number % 2:
            registry.client.delete_model(f"name-{number}", 1)

    with ThreadPoolExecutor(16) as callers:
        list(callers.map(register, range(60)))
    assert len(registry.client.list_models()) == 30
    for number in range(0, 60, 2):
        assert registry.client.download_model(f"name-{number}").digest == BUNDLE.digest


def test_a_file_with_another_digest_in_the_manifest_is_refused(shared_registry):
    other = with_file(BUNDLE, TENSORS, BUNDLE.contents[TENSORS] + bytes(8))
    refused = refusal_of(shared_registry, messages(header_of(other), pieces_of(other)))
    assert field_of(refused).startswith("bundle.arrays")
    assert hashlib.sha256(other.contents[TENSORS]).hexdigest() not in shared_registry.blobs()


def test_stumps_of_another_seed_are_another_model():
    assert replace(Stumps(), seed=1).bundle.digest != BUNDLE.digest
