"""The audit over real processes and channels, and on the command line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from marketml.cli.feature_audit import show_audit
from marketml.cli.features import features
from marketml.cli.output import Output
from marketml.clients.features import FeaturesClient, LeakAudit
from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Refusal,
    ResourceExhausted,
)
from services.features import wire_audit
from services.features.answer import Progress
from services.features.audit import AuditSummary, LeakCheck, LeakFinding
from services.features.plan import Omission
from tests.features.conftest import BARS, SYMBOL, TIMEFRAME, VENUE, Rooms
from tests.features.frames import HOUR, START

SERIES = {"venue": VENUE, "symbol": SYMBOL, "timeframe": TIMEFRAME}
OPTIONS = ("--venue", VENUE, "--symbol", SYMBOL, "--timeframe", TIMEFRAME)
FORMULAS = pb.FeatureConfig(
    **{
        name: pb.FamilyConfig(enabled=False)
        for name in ("technical", "statistical", "series", "market", "calendar")
    },
    tsfresh=pb.TsfreshConfig(enabled=True),
    expressions=[
        pb.FeatureExpression(name="pull", expression="zscore(close / ema(close, 24), 168)"),
        pb.FeatureExpression(name="side", expression="if(pull > 1, -1, where(pull < -1, 1, 0))"),
    ],
)


def run(rooms: Rooms, *arguments: str) -> Result:
    return CliRunner().invoke(features, ["audit", *arguments, "--features-endpoint", rooms.features.target])


def test_the_default_is_clean_and_the_answer_says_what_was_looked_at(rooms: Rooms, client: FeaturesClient):
    told: list[tuple[float, str]] = []
    audited = client.audit_leakage(rooms.snapshot_id, on_progress=lambda *step: told.append(step))
    assert audited.findings == ()
    assert audited.offenders == ()
    summary = audited.summary
    assert (summary.row_count, summary.offender_count) == (BARS, 0)
    assert summary.feature_count == len(client.describe_features(rooms.snapshot_id).feature_names)
    assert 0.0 < summary.batch_seconds <= summary.seconds
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_formulas_and_rolling_features_are_audited_too(client: FeaturesClient):
    summary = client.audit_leakage(**SERIES, config=FORMULAS, cuts_count=3, live_count=7, seed=-5).summary
    header = client.generate_features(**SERIES, config=FORMULAS).header
    assert summary.feature_count == len(header.feature_names)
    assert {"pull", "side"} <= set(header.feature_names)
    assert summary.offender_count == 0


def test_what_the_source_lacks_is_said(client: FeaturesClient):
    audited = client.audit_leakage(venue=VENUE, symbol="SPOT/USDT", timeframe=TIMEFRAME, live_count=0)
    assert {one.missing_column for one in audited.summary.omitted} >= {"open_interest"}


def test_only_the_series_in_its_span_is_looked_at(client: FeaturesClient):
    start, end = START + 100 * HOUR, START + 400 * HOUR
    assert client.audit_leakage(**SERIES, start=start, end=end).summary.row_count == 300


@pytest.mark.parametrize(
    ("ask", "refusal", "words"),
    [
        (lambda client: client.audit_leakage(**SERIES, cuts_count=101), InvalidArgument, "cuts_count"),
        (lambda client: client.audit_leakage(**SERIES, cuts_count=-1), InvalidArgument, "cuts_count"),
        (lambda client: client.audit_leakage(**SERIES, live_count=1001), InvalidArgument, "live_count"),
        (lambda client: client.audit_leakage("0" * 64), NotFound, "0" * 64),
        (lambda client: client.audit_leakage("short"), InvalidArgument, "snapshot_id"),
        (
            lambda client: client.audit_leakage(
                **SERIES,
                config=pb.FeatureConfig(
                    expressions=[pb.FeatureExpression(name="mine", expression="emma(close, 3)")]
                ),
            ),
            InvalidArgument,
            r"config\.expressions\[0\]\.expression: .*'emma'; the nearest is 'ema' \(column 1\)",
        ),
        (
            lambda client: client.audit_leakage(
                **SERIES, config=pb.FeatureConfig(limits=pb.FeatureLimits(max_memory_bytes=2 * 1024**2))
            ),
            ResourceExhausted,
            "max_memory_bytes",
        ),
        (
            lambda client: client.audit_leakage(
                **SERIES, config=pb.FeatureConfig(limits=pb.FeatureLimits(timeout_seconds=1e-6))
            ),
            ResourceExhausted,
            "timeout_seconds",
        ),
        (
            lambda client: client.audit_leakage(**SERIES, start=START, end=START + HOUR),
            FailedPrecondition,
            "2 bars",
        ),
    ],
)
def test_what_cannot_be_audited_is_refused(
    client: FeaturesClient,
    ask: Callable[[FeaturesClient], LeakAudit],
    refusal: type[Refusal],
    words: str,
):
    with pytest.raises(refusal, match=words):
        ask(client)


def test_a_snapshot_and_a_series_together_are_not_asked_for(client: FeaturesClient):
    with pytest.raises(TypeError, match="not both"):
        client.audit_leakage("0" * 64, **SERIES)


def test_the_command_ends_well_on_a_clean_config(rooms: Rooms):
    shown = run(rooms, *OPTIONS, "--preset", "fast", "--cuts", "2", "--live", "3")
    assert shown.exit_code == 0, shown.stderr
    assert "0 of" in shown.stdout
    told = json.loads(run(rooms, "--snapshot", rooms.snapshot_id, "--live", "0", "--json").stdout)
    assert told["findings"] == []
    assert told["summary"]["row_count"] == BARS


def test_the_command_wants_one_source_and_one_config(rooms: Rooms):
    assert run(rooms).exit_code == 2
    assert run(rooms, *OPTIONS, "--snapshot", "0" * 64).exit_code == 2
    assert run(rooms, *OPTIONS, "--preset", "fast", "--config", "x.yaml").exit_code == 2
    assert run(rooms, *OPTIONS, "--preset", "nonesuch").exit_code == 3


LEAK = LeakFinding(
    "whole_zscore",
    LeakCheck.PERTURBATION,
    pd.Timestamp("2024-02-03 04:00", tz="UTC"),
    1.25,
    math.nan,
    math.inf,
    77,
)
SUMMARY = AuditSummary(5000, 12, 1, (Omission("open_interest_change_1", "open_interest"),), 2.5, 1.0)


def messages() -> list[pb.AuditLeakageResponse]:
    return list(wire_audit.write_audit([Progress(0.5, "comparing"), LEAK, SUMMARY]))


def test_a_finding_is_written_as_it_is():
    progress, finding, summary = messages()
    assert (progress.progress.fraction, progress.progress.stage) == (0.5, "comparing")
    assert finding.finding.feature == "whole_zscore"
    assert finding.finding.check == pb.LEAK_CHECK_PERTURBATION
    assert finding.finding.open_time.ToDatetime(UTC) == datetime(2024, 2, 3, 4, tzinfo=UTC)
    assert finding.finding.batch_value == 1.25
    assert math.isnan(finding.finding.other_value)
    assert (finding.finding.size, finding.finding.wrong_bars) == (math.inf, 77)
    assert (summary.summary.row_count, summary.summary.offender_count) == (5000, 1)
    assert summary.summary.omitted[0].missing_column == "open_interest"


def test_a_finding_is_shown_with_its_bar_and_both_values(capsys: pytest.CaptureFixture[str]):
    _, finding, summary = messages()
    audited = LeakAudit((finding.finding,), summary.summary)
    assert audited.offenders == ("whole_zscore",)
    show_audit(Output(is_json=False), audited)
    shown = capsys.readouterr()
    for words in ("whole_zscore", "perturbation", "2024-02-03 04:00", "1.25", "inf", "1 of 12 features"):
        assert words in shown.out
    assert "open_interest" in shown.err
