"""Bootstraps: whole blocks; and rows drawn one by one as the book says, however many there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.training.models.bootstraps import draw_blocks, draw_sequentially
from services.training.seeds import stream

LENGTHS = st.lists(st.integers(0, 6), min_size=2, max_size=30)


@given(rows=st.integers(1, 60), share=st.floats(0.05, 1), size=st.integers(1, 80), seed=st.integers(0, 99))
def test_blocks_are_runs_of_neighbours_and_as_many_rows_as_asked(rows, share, size, seed):
    count = max(1, round(rows * share))
    found = draw_blocks(rows, count, size, stream(seed, "member"))
    assert found.size == count
    assert found.min() >= 0
    assert found.max() < rows
    assert found.tolist() == draw_blocks(rows, count, size, stream(seed, "member")).tolist()


def test_every_row_is_in_a_block_now_and_then_and_neighbours_come_together():
    drawn = [draw_blocks(100, 80, 10, stream(seed, "member")) for seed in range(300)]
    counts = np.bincount(np.concatenate(drawn), minlength=100)
    assert counts.min() > 0
    assert counts[10:90].std() < 0.15 * counts[10:90].mean()
    follows = [np.isin(each + 1, each).mean() for each in drawn]
    assert np.mean(follows) > 0.85


def by_the_book(t0, t1, chances):
    """Each draw from the uniqueness of all rows, computed anew (López de Prado 2018, snippets 4.4, 4.5)."""
    moments = np.unique(np.concatenate((t0, t1)))
    is_open = (moments > t0[:, None]) & (moments <= t1[:, None])
    drawn, count = [], np.zeros(moments.size)
    for chance in chances:
        lengths = is_open.sum(axis=1)
        means = (is_open / (1 + count)).sum(axis=1) / np.maximum(lengths, 1)
        uniqueness = np.where(lengths > 0, means, 1.0)
        row = int(np.searchsorted(np.cumsum(uniqueness), chance * uniqueness.sum(), side="right"))
        drawn.append(min(row, t0.size - 1))
        count += is_open[drawn[-1]]
    return sorted(drawn)


@settings(max_examples=60, deadline=None)
@given(lengths=LENGTHS, gaps=st.data(), seed=st.integers(0, 1_000), share=st.floats(0.1, 2))
def test_sequential_draws_are_those_of_the_book(lengths, gaps, seed, share):
    steps = gaps.draw(st.lists(st.integers(0, 3), min_size=len(lengths), max_size=len(lengths)))
    t0 = np.cumsum(steps).astype(np.int64)
    t1 = t0 + np.array(lengths)
    count = max(1, round(share * len(lengths)))
    found = draw_sequentially(t0, t1, count, stream(seed, "member"))
    assert found.tolist() == by_the_book(t0, t1, stream(seed, "member").random(count))


def test_sequential_draws_overlap_less_than_blind_ones():
    """Rows whose labels overlap nobody's are drawn more often than those in a crowd."""
    crowd = np.arange(200, dtype=np.int64)
    alone = 1_000 + 50 * np.arange(20, dtype=np.int64)
    t0 = np.concatenate((crowd, alone))
    t1 = t0 + 40
    found = [draw_sequentially(t0, t1, 100, stream(seed, "member")) for seed in range(50)]
    share = np.mean([(each >= 200).mean() for each in found])
    assert share > 2 * 20 / 220


def test_labels_of_another_symbol_do_not_overlap():
    """Rows of two symbols at the same moments are as unique as rows of one."""
    t0 = np.repeat(np.arange(40, dtype=np.int64), 2)
    symbols = np.tile(np.array([0, 1]), 40)
    t1 = t0 + np.where(symbols == 0, 1, 30)  # the second symbol's labels crowd each other alone
    found = [draw_sequentially(t0, t1, 60, stream(seed, "member"), symbols) for seed in range(40)]
    share = np.mean([(symbols[each] == 0).mean() for each in found])
    assert share > 0.75
    blind = [draw_sequentially(t0, t1, 60, stream(seed, "member")) for seed in range(40)]
    assert share > np.mean([(symbols[each] == 0).mean() for each in blind]) + 0.1
    each = np.arange(40, dtype=np.int64)
    alone = draw_sequentially(each, each + 5, 30, stream(1, "member"))
    both = draw_sequentially(each, each + 5, 30, stream(1, "member"), np.zeros(40, np.intp))
    assert alone.tolist() == both.tolist()


@pytest.mark.parametrize("rows", [1, 2])
def test_one_row_can_be_drawn(rows):
    times = np.arange(rows, dtype=np.int64)
    assert set(draw_sequentially(times, times + 1, 5, stream(0, "member"))) <= set(range(rows))
