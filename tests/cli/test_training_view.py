"""What a finished job shows of itself."""

from __future__ import annotations

from marketml.cli.output import Output
from marketml.cli.training_view import show_result, trial_line
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


def test_trials_are_shown_as_they_end_and_the_best_with_what_it_tried(capsys):
    values = {"num_leaves": pb.ParameterValue(number=31), "max_features_rule": pb.ParameterValue(word="sqrt")}
    done = pb.TrialFinished(
        trial=7,
        trial_count=50,
        state=pb.TRIAL_STATE_COMPLETE,
        metric="log_loss",
        value=1.01,
        fold_values=[1.0, 1.02],
        parameters=values,
        best_trial=3,
        best_value=0.99,
    )
    assert trial_line(done) == "trial 7 of 50: log loss 1.0100 (best 0.9900, trial 3)"
    done.state = pb.TRIAL_STATE_PRUNED
    assert trial_line(done) == "trial 7 of 50: log loss 1.0100, given up after 2 folds (best 0.9900, trial 3)"
    none = pb.TrialFinished(trial=1, trial_count=5, state=pb.TRIAL_STATE_UNSCORED, metric="mcc")
    none.absent_reason = "Fold 1 has no mcc: all rows are of one class."
    assert trial_line(none) == "trial 1 of 5: no mcc. Fold 1 has no mcc: all rows are of one class."
    found = pb.SearchResult(
        metric="log_loss", trial_count=50, pruned_count=20, best_trial=3, best_value=0.99, first_value=1.2
    )
    for name, value in values.items():
        found.best_parameters[name].CopyFrom(value)
    show_result(Output(False), pb.TrainingResult(search=found))
    shown = " ".join(capsys.readouterr().out.split())
    assert "Trial 3 of 50 is the best: log loss 0.9900, the config's own parameters 1.2000" in shown
    assert "20 were given up" in shown
    assert "max_features_rule sqrt, num_leaves 31" in shown
