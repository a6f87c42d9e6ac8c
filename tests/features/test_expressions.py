"""Formulas: what may be written, what it means, how far it looks back, and every way it is refused."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import FailedPrecondition
from services.features import config_rules
from services.features.catalogue import entries
from services.features.columns import Columns
from services.features.config import FamilyChoice, FeatureConfig, selected
from services.features.expressions import (
    FUNCTIONS,
    Call,
    Expression,
    FormulaError,
    Name,
    Node,
    Number,
    features_of,
    formatted,
    parse,
    violations,
)
from services.features.expressions.syntax import DEPTH_MAX, TEXT_MAX
from services.features.expressions.terms import LOOKBACK_MAX
from services.features.feature import Family, Feature
from services.features.plan import plan
from tests.features.formulas import FORMULAS, TREES, reckoned
from tests.features.frames import HOUR, awkward_walk, columns_of, random_walk
from tests.features.looking import computed, looks_ahead
from tests.features.whole import generated, planned

ALONE = FeatureConfig(
    **{
        family.value: FamilyChoice(enabled=False)
        for family in (Family.TECHNICAL, Family.STATISTICAL, Family.SERIES, Family.MARKET, Family.CALENDAR)
    }
)


def feature_of(text: str, name: str = "mine") -> Feature:
    expressions = (Expression(name, text),)
    assert list(violations(expressions)) == []
    (feature,) = features_of(expressions)
    return feature


def values_of(text: str, frame: pd.DataFrame) -> pd.Series:
    return pd.Series(feature_of(text).compute(columns_of(frame)), frame.index)


def refused(*expressions: Expression) -> list[tuple[str, str, str]]:
    return [(violation.field, violation.rule, violation.description) for violation in violations(expressions)]


def sole_refusal(text: str) -> tuple[str, str]:
    ((field, rule, description),) = refused(Expression("mine", text))
    assert field == "config.expressions[0].expression"
    return rule, description


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("close", Name("close")),
        ("1e-3", Number(0.001)),
        (".5", Number(0.5)),
        ("a - b - c", Call("-", (Call("-", (Name("a"), Name("b"))), Name("c")))),
        ("a + b * c", Call("+", (Name("a"), Call("*", (Name("b"), Name("c")))))),
        ("-a ^ 2", Call("-", (Call("^", (Name("a"), Number(2.0))),))),
        ("2 ^ -a ^ b", Call("^", (Number(2.0), Call("-", (Call("^", (Name("a"), Name("b"))),))))),
        ("a ^ b ^ c", Call("^", (Name("a"), Call("^", (Name("b"), Name("c")))))),
        ("a + 1 < b", Call("<", (Call("+", (Name("a"), Number(1.0))), Name("b")))),
        ("(a)(", None),
        ("f(a, 2)", Call("f", (Name("a"), Number(2.0)))),
        ("f()", Call("f", ())),
        ("`w8__x__q_0.1`", Name("w8__x__q_0.1")),
    ],
)
def test_a_formula_is_read_as_it_is_meant(text: str, tree: Node | None):
    if tree is None:
        with pytest.raises(FormulaError):
            parse(text)
    else:
        assert parse(text) == tree


@given(TREES)
@settings(max_examples=200)
@example(Call("^", (Call("-", (Number(2.0),)), Number(2.0))))
def test_a_tree_comes_back_from_its_text(tree: Node):
    assert parse(formatted(tree)) == tree


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_with_every_bit(value: float):
    tree = parse(formatted(Number(value)))
    sign = 1.0
    if isinstance(tree, Call):
        assert tree.function == "-"
        (tree,) = tree.arguments
        sign = -1.0
    assert isinstance(tree, Number)
    assert struct.pack("d", sign * tree.value) == struct.pack("d", value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_none_cannot_be_written(value: float):
    with pytest.raises(ValueError, match="finite"):
        formatted(Number(value))


@given(st.text(st.sampled_from(" ab0.9e+-*/^()<>=!,`_$\n\t"), max_size=40) | st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_a_formula_or_refused_by_position(text: str):
    tree, at = None, 1
    try:
        tree = parse(text)
    except FormulaError as error:
        at = error.at
    assert 1 <= at <= len(text) + 1
    assert tree is None or parse(formatted(tree)) == tree


@pytest.mark.parametrize("name", sorted({function.name for function in FUNCTIONS.values()}))
def test_a_function_is_what_pandas_makes_of_it(name: str):
    frame = random_walk(3, 500)
    x, y = frame["close"] / frame["open"] - 1.0, frame["volume"] / 1000.0
    function = FUNCTIONS[name]
    given_as = {
        "x": (("close / open - 1"), x),
        "y": ("volume / 1000", y),
        "n": ("12", 12.0),
        "q": ("0.3", 0.3),
        "low": ("-0.005", -0.005),
        "high": ("0.008", 0.008),
        "condition": ("close > open", (frame["close"] > frame["open"]).astype(float)),
        "then": ("volume / 1000", y),
        "otherwise": ("close / open - 1", x),
    }
    if name in ("log", "sqrt", "ret", "log_return"):
        given_as["x"] = given_as["y"]
    texts, arguments = zip(*(given_as[each.name] for each in function.parameters), strict=True)
    expected = reckoned(name, *arguments)
    for alias in (function.name, *function.aliases):
        values = values_of(f"{alias}({', '.join(texts)})", frame)
        from_bar = feature_of(f"{alias}({', '.join(texts)})").lookback_bars
        np.testing.assert_allclose(
            values.iloc[from_bar:], expected.iloc[from_bar:], rtol=1e-8, atol=1e-13, err_msg=alias
        )
        assert values.iloc[:from_bar].isna().all(), alias
        assert from_bar == 0 or not np.isnan(values.iloc[from_bar])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("close * 0 + 2 ^ 3 ^ 2", 512.0),
        ("close * 0 + -2 ^ 2", -4.0),
        ("close * 0 + (1 + 2) * 3 / 4 - 5", -2.75),
        ("(close >= close) + (close > close) + (close != close) + (close <= close) + (close == close)", 3.0),
        ("close / 0", math.nan),
        ("0 / (close - close)", math.nan),
        ("log(close - close)", math.nan),
        ("sqrt(-close)", math.nan),
        ("exp(close)", math.nan),
        ("(close - close) ^ -1", math.nan),
        ("(-close) ^ 0.5", math.nan),
        ("log(-close) ^ 0", math.nan),
        ("log(-close) > 1", math.nan),
        ("maximum(1, log(-close))", math.nan),
        ("clip(close, log(-close), 1)", math.nan),
        ("where(close > 0, 7, log(-close))", 7.0),
        ("if(close < 0, 7, 3 * (close > 0))", 3.0),
        ("where(log(-close), 1, 2)", math.nan),
        ("zscore(close * 0, 5)", math.nan),
        ("corr(close, close * 0, 5)", math.nan),
        ("sum(close > 0, 24)", 24.0),
        ("lag(close) - lag(close, 1) + diff(close) - (close - delay(close))", 0.0),
    ],
)
def test_a_value_that_is_none_is_missing_and_every_other_exact(text: str, value: float):
    frame = random_walk(4, 60)
    assert np.array_equal(values_of(text, frame).iloc[[-1]], [value], equal_nan=True)


@given(FORMULAS, st.integers(0, 2**16), st.integers(1, 40))
@settings(max_examples=60)
def test_no_formula_looks_ahead_or_further_back_than_it_says(tree: Node, seed: int, bars: int):
    feature = feature_of(formatted(tree))
    history = feature.history_bars(24)
    frame = awkward_walk(seed, history + bars + 50)
    assert looks_ahead((feature,), frame, len(frame) - 23) == []
    whole = feature.compute(columns_of(frame))
    alone = feature.compute(Columns(frame.iloc[-history - bars :], HOUR))
    np.testing.assert_array_equal(alone[-bars:], whole[-bars:])
    assert not np.isinf(whole).any()


def test_counts_are_whole_numbers():
    frame = random_walk(4, 400)
    ups = (frame["close"] > frame["open"]).rolling(23).sum()
    np.testing.assert_array_equal(values_of("sum(close > open, 23)", frame), ups)


def test_what_stands_in_several_formulas_is_the_same_in_each_and_alone():
    texts = [
        "ema(close, 12) - ema(close, 26)",
        "ema(close, 12) / ema(close, 26)",
        "rank(rsi_14, 24) * rsi_14",
    ]
    together = features_of(tuple(Expression(f"f{at}", text) for at, text in enumerate(texts)))
    frame = random_walk(5, 900)
    values = computed(together, frame)
    for at, text in enumerate(texts):
        np.testing.assert_array_equal(values[f"f{at}"], values_of(text, frame), text)


def test_an_earlier_expression_is_its_formula():
    frame = random_walk(6, 900)
    named = features_of(
        (
            Expression("quick_one", "ema(close, 12)"),
            Expression("slow_one", "zscore(quick_one / ema(close, 26), 48)"),
        )
    )[1]
    inline = feature_of("zscore(ema(close, 12) / ema(close, 26), 48)")
    np.testing.assert_array_equal(named.compute(columns_of(frame)), inline.compute(columns_of(frame)))
    assert (named.lookback_bars, named.inputs) == (inline.lookback_bars, inline.inputs)


def test_a_formula_of_catalogue_features_needs_what_they_need():
    frame = random_walk(7, 900)
    feature = feature_of("lag(funding_rate_mean_7, 3) + hour_sin")
    by_name = {one.name: one for one in selected(FeatureConfig())}
    mean = by_name["funding_rate_mean_7"]
    assert feature.inputs == mean.inputs
    assert feature.lookback_bars == mean.lookback_bars + 3
    assert feature.lookback_settlements == mean.lookback_settlements
    columns = columns_of(frame)
    expected = pd.Series(mean.compute(columns)).shift(3) + by_name["hour_sin"].compute(columns)
    np.testing.assert_array_equal(feature.compute(columns), expected)


def test_a_column_that_a_feature_is_called_after_is_what_is_known_of_it():
    frame = random_walk(8, 60)
    frame["funding_rate_missing"] = np.arange(60) % 2 == 0
    assert values_of("funding_rate + 0", frame).isna().sum() == 30


def test_a_rolling_feature_is_read_by_its_name():
    frame = random_walk(8, 900)
    quoted = '`w24__close__change_quantiles__f_agg_"mean"__isabs_False__qh_0.6__ql_0.2`'
    for text, at in (("lag(w8__volume__mean_change, 2)", 9), (f"{quoted} + 0", 23)):
        feature = feature_of(text)
        whole = feature.compute(columns_of(frame))
        assert np.flatnonzero(~np.isnan(whole))[0] == at
        history = feature.lookback_bars
        for bar in (600, 711, 712, 713, 899):  # at, before and after the border of a block
            alone = feature.compute(columns_of(frame.iloc[bar - history : bar + 1]))
            np.testing.assert_array_equal(alone[-1], whole[bar])
    change = frame["volume"].diff().rolling(7).mean().shift(2)
    np.testing.assert_allclose(values_of("lag(w8__volume__mean_change, 2)", frame), change, rtol=1e-8)
    for text in ("w7__close__mean_change", "w08__close__mean_change", "w24__clse__mean_change"):
        assert sole_refusal(text)[0] == "unknown"


def test_lookbacks_add_up_along_the_longest_way():
    assert feature_of("close - open").lookback_bars == 0
    assert feature_of("mean(lag(close, 5), 10) + lag(close, 3)").lookback_bars == 14
    assert feature_of("max(ret(mean(close, 3), 2), 4)").lookback_bars == 7


def test_a_config_computes_its_expressions_in_their_order_after_the_catalogue():
    frame = random_walk(9, 900)
    expressions = (Expression("pull", "zscore(close / ema(close, 24), 168)"), Expression("up", "pull > 1"))
    config = replace(ALONE, calendar=FamilyChoice(features=("month",)), expressions=expressions)
    assert config_rules.violations(config) == []
    frame_of = generated(frame, config)
    assert list(frame_of.columns) == ["month", "pull", "up"]
    np.testing.assert_array_equal(frame_of["pull"], values_of(expressions[0].expression, frame))
    only = replace(config, only=("up",))
    np.testing.assert_array_equal(generated(frame, only)["up"], frame_of["up"])
    assert planned(frame, only).warm_up_bars == planned(frame, config).warm_up_bars == 499


def test_a_formula_whose_column_the_source_lacks_is_refused_and_not_left_out():
    frame = random_walk(9, 300).drop(columns="open_interest")
    config = replace(ALONE, expressions=(Expression("mine", "close / open_interest"),))
    with pytest.raises(FailedPrecondition, match="mine needs open_interest"):
        planned(frame, config)


def test_every_function_is_listed():
    listed = {entry.name: entry for entry in entries(Family.EXPRESSION)}
    assert set(listed) == {function.signature for function in FUNCTIONS.values()}
    assert "Also called delay." in listed["lag(x, n=1)"].description
    assert not any(entry.is_default for entry in listed.values())


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("", "syntax", "column 1"),
        ("close +", "syntax", "the end (column 8)"),
        ("close open", "syntax", "'open' (column 7)"),
        ("mean(close, 5", "syntax", "',' here: the end (column 14)"),
        ("mean(close 5)", "syntax", "',' here: '5' (column 12)"),
        ("close[-1]", "syntax", "'[' (column 6)"),
        ("close ** 2", "syntax", "'*' (column 8)"),
        ("1 < close < 3", "syntax", "parentheses are needed: '<' (column 11)"),
        ("__import__('os')", "syntax", '"\'" (column 12)'),
        ("close.shift(1)", "syntax", "'.' (column 6)"),
        ("1e999 * close", "range", "1e999 (column 1)"),
        ("close * (1 / 0)", "range", "inf (column 12)"),
        ("clse", "unknown", "nearest is 'close' (column 1)"),
        ("close + rsi_15", "unknown", "nearest is 'rsi_14' (column 9)"),
        ("  zscor(close, 5)", "unknown", "nearest is 'zscore' (column 3)"),
        ("ema + 1", "unknown", "the function is called as ema(x, n) (column 1)"),
        ("mine + close", "unknown", "(column 1)"),
        ("funding_time + 0", "unknown", "(column 1)"),
        ("`Ω`", "unknown", "(column 1)"),
        ("lag(close, 0)", "range", "1 to 10,080 as n of lag(x, n=1): 0 (column 12)"),
        ("lag(close, -1)", "range", "1 to 10,080 as n of lag(x, n=1): -1 (column 12)"),
        ("mean(close, 10081)", "range", "10,081 (column 13)"),
        ("std(close, 1)", "range", "2 to 10,080"),
        ("ema(close, 721)", "range", "2 to 720"),
        ("quantile(close, 5, 1.5)", "range", "0 to 1 as q of quantile(x, n, q): 1.5 (column 20)"),
        ("mean(close, 2.5)", "type", "a whole number of bars as n of mean(x, n): 2.5 (column 13)"),
        ("mean(close, volume)", "type", "a whole number as n of mean(x, n): it is a series (column 13)"),
        ("mean(3, 5)", "type", "a series as x of mean(x, n): 3 (column 6)"),
        ("mean(close)", "arguments", "mean(x, n) with its arguments: there are 1 (column 1)"),
        ("log()", "arguments", "there are 0"),
        ("abs(close, 1)", "arguments", "there are 2"),
        ("2 * 3", "constant", "(column 3)"),
        ("(" * 300 + "close" + ")" * 300, "depth", f"{DEPTH_MAX}"),
        ("-" * 300 + "close", "depth", f"{DEPTH_MAX}"),
        ("+".join(["close"] * 200), "depth", f"{DEPTH_MAX}"),
        ("close" + " " * TEXT_MAX, "length", "2,000 characters: 2,005"),
        ("lag(" * 6 + "close" + ", 10000)" * 6, "lookback", f"{LOOKBACK_MAX:,} bars in all: 60,000"),
        ("+".join(f"lag(close, {9000 + at})" for at in range(20)), "lookback", "50,000 bars together"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_place(text: str, rule: str, words: str):
    found, description = sole_refusal(text)
    assert found == rule
    assert words in description
    assert description.endswith(").")


def test_a_formula_is_refused_in_a_config_with_its_full_path():
    config = replace(ALONE, expressions=(Expression("fine", "close"), Expression("mine", "lag(close, 0)")))
    (violation,) = config_rules.violations(config)
    assert violation.field == "config.expressions[1].expression"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "format"),
        ("Mine", "format"),
        ("1mine", "format"),
        ("mine\n", "format"),
        ("m" * 101, "format"),
        ("close", "taken"),
        ("open_time", "taken"),
        ("funding_rate_missing", "taken"),
        ("rsi_14", "taken"),
        ("hour_sin", "taken"),
        ("w24__close__mean", "taken"),
    ],
)
def test_a_name_that_is_none_or_taken_is_refused(name: str, rule: str):
    ((field, found, _),) = refused(Expression(name, "volume"))
    assert (field, found) == ("config.expressions[0].name", rule)


def test_a_name_is_given_once():
    assert refused(Expression("mine", "close"), Expression("mine", "open")) == [
        (
            "config.expressions[1].name",
            "duplicate",
            "must not be the name of an earlier expression: 'mine'.",
        )
    ]


def test_what_uses_a_broken_expression_is_not_blamed_for_it():
    found = refused(Expression("one", "clse"), Expression("two", "one + 1"), Expression("three", "two + opn"))
    assert [field for field, _, _ in found] == ["config.expressions[0].expression"]


def test_a_later_expression_is_not_known_yet():
    found = refused(Expression("one", "two"), Expression("two", "close"))
    assert [(field, rule) for field, rule, _ in found] == [("config.expressions[0].expression", "unknown")]


def test_a_formula_says_what_it_takes_and_is_computed_in_chunks_that_suit_it():
    text = " + ".join(f"max(close, {9000 + at})" for at in range(5))
    feature = feature_of(text)
    assert feature.work is not None
    assert feature.work.bars == sum(range(8999, 9004))
    assert feature.work.held_arrays == 3
    frame = random_walk(1, 100)
    config = replace(ALONE, expressions=(Expression("mine", text),))
    long = Columns(
        pd.concat([frame] * 600).set_axis(pd.date_range("2000-01-01", periods=60_000, freq="1h", tz="UTC")),
        HOUR,
    )
    assert plan(config, long, 0).chunk_bars * feature.work.bars < 1.1e9
    deep = replace(ALONE, expressions=(Expression("mine", "open + (" * 99 + "close" + ")" * 99),))
    flat = replace(ALONE, expressions=(Expression("mine", "open + close"),))
    assert planned(frame, deep).memory_bytes > planned(frame, flat).memory_bytes


def test_expressions_are_bounded_in_number_and_depth_of_all_together():
    many = tuple(Expression(f"f{at}", "close") for at in range(1001))
    assert [rule for _, rule, _ in refused(*many)] == ["count"]
    long = tuple(Expression(f"f{at}", "close" + " " * 400) for at in range(500))
    assert [rule for _, rule, _ in refused(*long)] == ["length"]
    chain = [Expression("f0", "close + 1")]
    chain += [Expression(f"f{at}", f"f{at - 1} + 1") for at in range(1, 150)]
    assert {rule for _, rule, _ in refused(*chain)} == {"depth"}
    deepest = features_of(tuple(chain[: DEPTH_MAX - 1]))[-1]
    assert (
        deepest.compute(columns_of(random_walk(1, 3)))[0]
        == random_walk(1, 3)["close"].iloc[0] + DEPTH_MAX - 1
    )


def test_a_thousand_wrong_names_are_refused_in_short():
    wrong = [Expression(f"f{at}", "x" * 60 + str(at)) for at in range(1000)]
    found = refused(*wrong)
    assert len(found) == 1000
    assert all(rule == "unknown" for _, rule, _ in found)
