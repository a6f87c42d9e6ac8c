"""Something in each room that requests can be about: a series, a snapshot, a model, a job."""

from __future__ import annotations

import numpy as np
import pandas as pd

from inference import open_inference_pb2 as inference
from marketml.clients.data import DataClient
from marketml.clients.features import FeaturesClient
from marketml.clients.registry import RegistryClient
from marketml.clients.training import TrainingClient
from marketml.data.v1 import data_pb2 as data_pb
from marketml.market.v1 import market_pb2 as market
from marketml.registry.v1 import registry_pb2 as registry_pb
from marketml.rpc.frames import cut, to_table
from marketml.training.v1 import training_pb2 as training_pb
from tests.registry.bundles import FEATURES, Stumps
from tests.registry.frames import frame_of, random_rows
from tests.support.messages import FIRST_SECOND, HOUR, Known
from tests.support.servers import Rooms

KEY = market.SeriesKey(venue="binance", symbol="BTC/USDT:USDT", timeframe="1h")
ROWS_COUNT = 600


def stock(rooms: Rooms) -> Known:
    """Fill the rooms, and say with what."""
    with DataClient(rooms.data.target) as data:
        snapshot_id = _stock_data(data)
    with FeaturesClient(rooms.features.target) as features:
        feature_config = features.get_default_feature_config()
    with RegistryClient(rooms.registry.target) as registry:
        bundle = Stumps(1).bundle
        registry.upload_model("btc", bundle)
        registry.load_model("btc")
        current = registry.get_config()
    with TrainingClient(rooms.training.target) as training:
        training_config = _small(training.get_default_training_config(), snapshot_id)
        job = training.start_training("btc", training_config)
    upload = registry_pb.UploadHeader(
        request_id="upload-1",
        model_name="eth",
        files=[
            registry_pb.ModelFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
            for file in bundle.files
        ],
    )
    pieces = [registry_pb.FilePiece(name=name, data=content) for name, content in bundle.contents.items()]
    whole_upload = [
        registry_pb.UploadModelRequest(header=upload),
        *(registry_pb.UploadModelRequest(piece=piece) for piece in pieces),
    ]
    tensors = [
        inference.ModelInferRequest.InferInputTensor(
            name=name,
            datatype="FP64",
            shape=[2],
            contents=inference.InferTensorContents(fp64_contents=[0.5, 1.5]),
        )
        for name in FEATURES
    ]
    start, end = FIRST_SECOND, FIRST_SECOND + ROWS_COUNT * HOUR
    span = market.TimeRange(start_time={"seconds": start}, end_time={"seconds": end})
    return Known(
        values={
            "venue": [KEY.venue],
            "symbol": [KEY.symbol],
            "timeframe": [KEY.timeframe],
            "snapshot_id": [snapshot_id],
            "model_name": ["btc"],
            "name": ["btc", *FEATURES],
            "job_id": [job.job_id],
            "version": [1],
            "model_version": ["1", ""],
            "after_sequence": [0],
            "after_line": [0],
            "attempt": [1],
            "paths": [each.name for each in registry_pb.PlatformConfig.DESCRIPTOR.fields],
            "arrow_ipc": [b"".join(cut(to_table(frame_of(random_rows()))))],
            "etag": ["", current.etag],
            "sha256": [file.sha256 for file in bundle.files],
        },
        examples={
            "marketml.market.v1.SeriesKey": [KEY, market.SeriesKey(venue=KEY.venue, symbol=KEY.symbol)],
            "marketml.market.v1.TimeRange": [span],
            "marketml.market.v1.SeriesRange": [market.SeriesRange(series=KEY, range=span)],
            "marketml.features.v1.FeatureConfig": [feature_config],
            "marketml.training.v1.TrainingConfig": [training_config],
            "marketml.registry.v1.PlatformConfig": [current.config],
            "marketml.registry.v1.UploadHeader": [upload],
            "marketml.registry.v1.FilePiece": pieces,
            "marketml.data.v1.IngestHeader": [
                data_pb.IngestHeader(venue=KEY.venue, symbol=KEY.symbol, timeframe=KEY.timeframe),
                data_pb.IngestHeader(venue=KEY.venue, symbol=KEY.symbol),
            ],
            "inference.ModelInferRequest": [inference.ModelInferRequest(model_name="btc", inputs=tensors)],
        },
        uploads={"UploadModel": [message.SerializeToString() for message in whole_upload]},
    )


def _stock_data(data: DataClient) -> str:
    random = np.random.default_rng(0)
    times = pd.date_range(pd.Timestamp(FIRST_SECOND, unit="s", tz="UTC"), periods=ROWS_COUNT, freq="h")
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 0.01, ROWS_COUNT)))
    opened = np.concatenate([[40_000.0], close[:-1]])
    candles = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": random.uniform(1, 100, ROWS_COUNT),
        },
        index=times.rename("open_time"),
    )
    stamps = times[::8].rename("time")
    funding = pd.DataFrame({"funding_rate": random.normal(0, 1e-4, len(stamps))}, index=stamps)
    interest = pd.DataFrame(
        {"open_interest": random.uniform(1e4, 2e4, ROWS_COUNT)}, index=times.rename("time")
    )
    data.ingest_candles(candles, KEY.venue, KEY.symbol, KEY.timeframe)
    data.ingest_funding_rates(funding, KEY.venue, KEY.symbol)
    data.ingest_open_interest(interest, KEY.venue, KEY.symbol)
    return data.create_snapshot(KEY.venue, KEY.symbol, KEY.timeframe).snapshot_id


def _small(config: training_pb.TrainingConfig, snapshot_id: str) -> training_pb.TrainingConfig:
    """A job of a few seconds."""
    config.dataset.Clear()
    config.dataset.snapshot_id = snapshot_id
    config.features.Clear()
    config.features.series.enabled = True
    config.split.folds = 2
    config.model.lightgbm.rounds = 5
    return config
