"""What a finished job shows of itself."""

from __future__ import annotations

from marketml.cli.output import Output
from marketml.cli.training_view import show_result
from marketml.training.v1 import training_pb2 as pb


def test_several_symbols_are_shown_beside_each_other_and_a_missing_score_says_why(capsys):
    result = pb.TrainingResult(test_row_count=1_200)
    result.symbols.add(
        venue="binance", symbol="BTC/USDT", row_count=5_000, test_row_count=1_200, balanced_accuracy=0.4321
    )
    result.symbols.add(venue="okx", symbol="ETH/USDT", row_count=30, absent_reason="No row is of the symbol.")
    show_result(Output(False), result)
    lines = capsys.readouterr().out.splitlines()
    first = next(line for line in lines if "BTC/USDT" in line)
    assert [word in first for word in ("binance", "5,000", "1,200", "0.4321")] == [True] * 4
    assert "No row is of the symbol." in next(line for line in lines if "ETH/USDT" in line)


def test_thresholds_of_quantiles_are_shown_and_nothing_of_what_there_is_not(capsys):
    show_result(Output(False), pb.TrainingResult())
    assert "range" not in capsys.readouterr().out
    shown = pb.TrainingResult(return_thresholds=pb.ReturnThresholds(lower=-0.0123, upper=0.02))
    show_result(Output(False), shown)
    assert "lies between -1.230% and +2.000%" in capsys.readouterr().out
