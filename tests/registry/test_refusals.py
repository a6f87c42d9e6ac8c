"""Every call that names a model, with every bad input: the right class, the field, and nothing changed."""

from __future__ import annotations

import base64

import pytest

from inference import open_inference_pb2 as v2
from marketml.registry.v1 import registry_pb2 as pb
from marketml.rpc.refusals import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from tests.registry.bundles import Stumps

BAD_NAMES = ["", "BTC", "a/b", "../x", "-a", "a" * 65, "a\0", "ä", " "]


@pytest.fixture(scope="module")
def both_versions(shared_registry):
    shared_registry.client.upload_model("btc", Stumps(1).bundle)
    shared_registry.client.upload_model("btc", Stumps(2).bundle)
    shared_registry.client.load_model("btc", 1)
    return shared_registry


@pytest.fixture
def filled(both_versions):
    """`btc` with versions 1 (champion) and 2."""
    before = _state(both_versions)
    yield both_versions
    assert _state(both_versions) == before, "a refusal changes nothing"


def _state(registry):
    return registry.client.list_models(), registry.client.get_current_model("btc"), registry.blobs()


def _requests(name: str):
    return [
        ("GetModel", pb.GetModelRequest(model_name=name), "model_name"),
        ("DownloadModel", pb.DownloadModelRequest(model_name=name), "model_name"),
        ("DeleteModel", pb.DeleteModelRequest(model_name=name, version=1), "model_name"),
        ("LoadModel", pb.LoadModelRequest(model_name=name), "model_name"),
        ("GetCurrentModel", pb.GetCurrentModelRequest(model_name=name), "model_name"),
        ("Predict", pb.PredictRequest(model_name=name), "model_name"),
    ]


def _ask(registry, method: str, request):
    answer = getattr(registry.stub, method)(request)
    return list(answer) if method == "DownloadModel" else answer


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_model_name_is_refused_by_every_call(filled, name):
    for method, request, field in _requests(name):
        with pytest.raises(InvalidArgument) as refused:
            _ask(filled, method, request)
        assert refused.value.violations[0].field == field, method
    if name:
        with pytest.raises(InvalidArgument):
            filled.client.list_models(name)


@pytest.mark.parametrize("alias", BAD_NAMES[1:])
def test_a_bad_alias_is_refused(filled, alias):
    for method, request in [
        ("LoadModel", pb.LoadModelRequest(model_name="btc", alias=alias)),
        ("GetCurrentModel", pb.GetCurrentModelRequest(model_name="btc", alias=alias)),
        ("Predict", pb.PredictRequest(model_name="btc", alias=alias)),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            _ask(filled, method, request)
        assert refused.value.violations[0].field == "alias", method


def test_an_unknown_model_is_not_found_by_every_call(filled):
    for method, request, _ in _requests("eth"):
        with pytest.raises(NotFound) as refused:
            _ask(filled, method, request)
        assert "eth" in refused.value.name, method
    assert filled.client.list_models("eth") == []


def test_an_unknown_version_is_not_found(filled):
    for version in (3, 2**63 - 1):
        for method, request in [
            ("GetModel", pb.GetModelRequest(model_name="btc", version=version)),
            ("DownloadModel", pb.DownloadModelRequest(model_name="btc", version=version)),
            ("DeleteModel", pb.DeleteModelRequest(model_name="btc", version=version)),
            ("LoadModel", pb.LoadModelRequest(model_name="btc", version=version)),
            ("Predict", pb.PredictRequest(model_name="btc", version=version)),
        ]:
            with pytest.raises(NotFound) as refused:
                _ask(filled, method, request)
            assert (refused.value.kind, refused.value.name) == ("model", f"btc/{version}"), method


def test_an_impossible_version_is_refused(filled):
    for method, request in [
        ("GetModel", pb.GetModelRequest(model_name="btc", version=-1)),
        ("DownloadModel", pb.DownloadModelRequest(model_name="btc", version=-1)),
        ("DeleteModel", pb.DeleteModelRequest(model_name="btc", version=0)),
        ("DeleteModel", pb.DeleteModelRequest(model_name="btc", version=-(2**63))),
        ("LoadModel", pb.LoadModelRequest(model_name="btc", version=-1)),
        ("Predict", pb.PredictRequest(model_name="btc", version=0)),
        ("Predict", pb.PredictRequest(model_name="btc", version=-5)),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            _ask(filled, method, request)
        assert refused.value.violations[0].field == "version", method


def test_an_alias_that_points_nowhere_is_not_found(filled):
    with pytest.raises(NotFound) as refused:
        filled.client.get_current_model("btc", "challenger")
    assert (refused.value.kind, refused.value.name) == ("alias", "btc@challenger")


def test_a_file_that_a_version_does_not_have_is_refused(filled):
    for name in ("model.xgboost.ubj", "../../etc/passwd", ""):
        request = pb.DownloadModelRequest(model_name="btc", file_names=["manifest.json", name])
        with pytest.raises(InvalidArgument) as refused:
            list(filled.stub.DownloadModel(request))
        assert refused.value.violations[0].field == "file_names[1]"


def test_only_the_files_asked_for_are_sent(filled):
    request = pb.DownloadModelRequest(model_name="btc", file_names=["manifest.json"])
    first, *rest = list(filled.stub.DownloadModel(request))
    assert first.model.version == 2
    assert {part.piece.name for part in rest} == {"manifest.json"}


@pytest.mark.parametrize("size", [-1, 1001])
def test_a_bad_page_size_is_refused(filled, size):
    with pytest.raises(InvalidArgument) as refused:
        filled.stub.ListModels(pb.ListModelsRequest(page_size=size))
    assert refused.value.violations[0].field == "page_size"


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "%",
        "ä",
        "\0",
        "models::1",
        base64.urlsafe_b64encode(b"models::-1").decode(),
        "bW9kZWxzOjp4",
        "=" * 9,
    ],
)
def test_a_bad_page_token_is_refused(filled, token):
    with pytest.raises(InvalidArgument) as refused:
        filled.stub.ListModels(pb.ListModelsRequest(page_token=token))
    assert refused.value.violations[0].field == "page_token"


def test_a_model_with_an_alias_is_not_deleted(filled):
    with pytest.raises(FailedPrecondition) as refused:
        filled.client.delete_model("btc", 1)
    assert refused.value.subject == "btc/1"


def test_a_stale_alias_etag_is_refused(filled):
    for etag in ("stale", "\0", "x" * 1000):
        with pytest.raises(Aborted):
            filled.client.load_model("btc", 2, etag=etag)
    with pytest.raises(Aborted):
        filled.client.load_model("btc", 2, alias="challenger", etag="never-was")


@pytest.mark.parametrize("request_id", ["a b", "x" * 129, "\0", "ä"])
def test_a_bad_request_id_is_refused(filled, request_id):
    etag = filled.client.get_config().etag
    for method, request in [
        ("DeleteModel", pb.DeleteModelRequest(model_name="btc", version=2, request_id=request_id)),
        ("LoadModel", pb.LoadModelRequest(model_name="btc", version=2, request_id=request_id)),
        ("ResetConfig", pb.ResetConfigRequest(request_id=request_id)),
        (
            "UpdateConfig",
            pb.UpdateConfigRequest(
                update_mask={"paths": ["training.split.folds"]}, etag=etag, request_id=request_id
            ),
        ),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            _ask(filled, method, request)
        assert refused.value.violations[0].field == "request_id", method
    assert filled.client.get_config().version == 1


def test_a_request_id_of_another_request_is_refused(registry):
    registry.client.upload_model("btc", Stumps(1).bundle)
    registry.client.load_model("btc", 1, request_id="r1")
    before = _state(registry)
    for refused in (
        lambda: registry.client.load_model("btc", 1, alias="challenger", request_id="r1"),
        lambda: registry.client.delete_model("btc", 1, request_id="r1"),
        lambda: registry.client.reset_config(request_id="r1"),
    ):
        with pytest.raises(AlreadyExists):
            refused()
    assert _state(registry) == before


def test_a_repeated_switch_is_answered_as_before(registry):
    registry.client.upload_model("btc", Stumps(1).bundle)
    first = registry.client.load_model("btc", 0, request_id="r1")
    registry.client.upload_model("btc", Stumps(2).bundle)
    registry.client.load_model("btc", 2)
    assert registry.client.load_model("btc", 0, request_id="r1") == first
    assert registry.client.get_current_model("btc").model.version == 2


def test_a_repeated_deletion_is_answered_as_before(registry):
    registry.client.upload_model("btc", Stumps(1).bundle)
    freed = registry.client.delete_model("btc", 1, request_id="r1")
    assert freed > 0
    assert registry.client.delete_model("btc", 1, request_id="r1") == freed
    with pytest.raises(NotFound):
        registry.client.delete_model("btc", 1, request_id="r2")


def test_pages_follow_each_other_newest_first(registry):
    for seed in range(7):
        registry.client.upload_model("btc" if seed % 2 else "eth", Stumps(seed).bundle)
    token, seen = "", []
    while True:
        page = registry.stub.ListModels(pb.ListModelsRequest(page_size=3, page_token=token))
        seen += [(model.model_name, model.version) for model in page.models]
        assert len(page.models) <= 3
        token = page.next_page_token
        if not token:
            break
    expected = [("eth", 4), ("btc", 3), ("eth", 3), ("btc", 2), ("eth", 2), ("btc", 1), ("eth", 1)]
    assert seen == expected
    assert [model.version for model in registry.client.list_models("btc")] == [3, 2, 1]
    assert [model.version for model in registry.client.list_models(limit=2)] == [4, 3]


def test_a_page_token_goes_on_with_its_own_listing_only(filled):
    page = filled.stub.ListModels(pb.ListModelsRequest(model_name="btc", page_size=1))
    for other in ("", "eth"):
        request = pb.ListModelsRequest(model_name=other, page_token=page.next_page_token)
        with pytest.raises(InvalidArgument) as refused:
            filled.stub.ListModels(request)
        assert refused.value.violations[0].field == "page_token"
    request = pb.ListModelsRequest(model_name="btc", page_token=page.next_page_token)
    assert [model.version for model in filled.stub.ListModels(request).models] == [1]


def test_a_page_is_shorter_where_it_would_not_fit_a_message(registry):
    names = tuple(f"{position}-{'é' * 180}" for position in range(99))
    for seed in range(100):
        registry.client.upload_model("btc", Stumps(seed, tree_count=99, classes=names).bundle)
    page = registry.stub.ListModels(pb.ListModelsRequest(page_size=1000))
    assert 1 < len(page.models) < 100
    assert [model.version for model in registry.client.list_models()] == list(range(100, 0, -1))


@pytest.mark.parametrize("version", ["x", "-1", "0", "1.0", "1" * 30, "²", "\0"])
def test_a_bad_version_of_a_tensor_call_is_refused(filled, version):
    for method, request, field in [
        ("ModelReady", v2.ModelReadyRequest(name="btc", version=version), "version"),
        ("ModelMetadata", v2.ModelMetadataRequest(name="btc", version=version), "version"),
        (
            "ModelInfer",
            v2.ModelInferRequest(model_name="btc", model_version=version, inputs=[{"name": "features"}]),
            "model_version",
        ),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            getattr(filled.inference, method)(request)
        assert refused.value.violations[0].field == field, method
