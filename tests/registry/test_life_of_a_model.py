"""A model from its upload to its deletion, over a real server and channel."""

from __future__ import annotations

import numpy as np
import pytest

from marketml.rpc.refusals import FailedPrecondition, NotFound, Reason
from tests.registry.bundles import CLASSES, FEATURES, Stumps
from tests.registry.frames import frame_of, random_rows


def test_a_model_is_uploaded_loaded_asked_replaced_and_deleted(registry):
    client, first, second = registry.client, Stumps(1, snapshot_id="ab" * 32), Stumps(2)

    one = client.upload_model("btc", first.bundle, job_id="0" * 32)
    assert (one.version, one.digest) == (1, first.bundle.digest)
    assert list(one.class_names) == list(CLASSES)
    assert one.feature_count == len(FEATURES)
    assert one.size_bytes == sum(len(content) for content in first.bundle.contents.values())
    assert (one.job_id, one.snapshot_id) == ("0" * 32, "ab" * 32)
    with pytest.raises(NotFound):
        client.get_current_model("btc")

    loaded = client.load_model("btc")
    assert (loaded.alias.alias, loaded.alias.model.version, loaded.previous_version) == ("champion", 1, 0)
    assert list(loaded.alias.model.aliases) == ["champion"]
    rows = random_rows()
    prediction = client.predict("btc", frame_of(rows))
    np.testing.assert_allclose(
        prediction.frame[[f"probability_{name}" for name in CLASSES]].to_numpy(),
        first.probabilities(rows),
        rtol=1e-14,
    )
    expected = [CLASSES[position] for position in first.probabilities(rows).argmax(axis=1)]
    assert list(prediction.frame["predicted_class"]) == expected
    assert list(prediction.frame.index) == list(frame_of(rows).index)
    assert (prediction.version, prediction.digest) == (1, one.digest)
    assert prediction.watermark_time == frame_of(rows).index[-1].to_pydatetime()

    two = client.upload_model("btc", second.bundle)
    assert two.version == 2
    switched = client.load_model("btc", 2)
    assert switched.previous_version == 1
    assert client.get_current_model("btc").model.version == 2
    assert client.predict("btc", frame_of(rows)).digest == two.digest
    assert client.predict("btc", frame_of(rows), version=1).digest == one.digest

    assert [model.version for model in client.list_models("btc")] == [2, 1]
    with pytest.raises(FailedPrecondition) as refused:
        client.delete_model("btc", 2)
    assert refused.value.reason is Reason.IN_USE
    freed = client.delete_model("btc", 1)
    assert freed == one.size_bytes
    assert registry.blobs() == {file.sha256 for file in two.files}
    with pytest.raises(NotFound):
        client.predict("btc", frame_of(rows), version=1)
    with pytest.raises(NotFound):
        client.get_model("btc", 1)
    assert [model.version for model in client.list_models()] == [2]
    assert client.upload_model("btc", first.bundle).version == 3, "a number is never used twice"


def test_what_was_uploaded_comes_back_byte_for_byte(registry):
    bundle = Stumps(3).bundle
    model = registry.client.upload_model("btc", bundle)
    assert registry.client.download_model("btc").contents == bundle.contents
    got, manifest = registry.client.get_model("btc", model.version)
    assert got == model
    assert manifest["classes"] == list(CLASSES)
