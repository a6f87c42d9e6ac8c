"""The compiled walk equals a slow reading of `marketml.bundle.trees`, for any tree and any value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketml.bundle.graph import Library, Trees
from marketml.bundle.trees import MISSING_NAN, MISSING_NONE, MISSING_ZERO, TreeArrays
from services.registry.inspection import require_trees
from services.registry.walking import LIGHTGBM_ZERO, add_scores, lay_out, sigmoid, softmax

FEATURES = 3
EDGES = [
    0.0, -0.0, 1.0, -1.0, 0.1, np.float32(0.1), np.nextafter(np.float32(0.1), np.float32(1)),
    np.nextafter(0.1, 1), 1 + 2**-25, 1 + 2**-23, 2.0**24 + 1, 1e-45, -1e-45, 5e-324, 1e-35, 2e-35, -1e-35,
    LIGHTGBM_ZERO, np.nextafter(LIGHTGBM_ZERO, 1), 1e30, -1e30, 3.4028234663852886e38, 1e39, -1e39, 1e300,
    np.inf, -np.inf, np.nan,
]  # fmt: skip
values = st.sampled_from([float(value) for value in EDGES]) | st.floats(width=32) | st.floats()


@st.composite
def forests(draw):
    """Sound trees of one library, of any shape."""
    library = draw(st.sampled_from(list(Library)))
    outputs = draw(st.integers(1, 3))
    number = np.float32 if library is Library.XGBOOST else np.float64
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    if library is not Library.FOREST:
        sizes = (sizes * outputs)[: max(1, len(sizes) // outputs) * outputs]
    left, right = [], []
    for size in sizes:
        children = draw_tree(draw, size)
        left += [pair[0] for pair in children]
        right += [pair[1] for pair in children]
    nodes, trees = sum(sizes), len(sizes)
    limit = float(np.finfo(np.float32).max)
    finite = st.floats(-limit, limit, width=32) | st.sampled_from(
        [float(v) for v in EDGES if abs(v) <= limit]
    )
    thresholds = draw(st.lists(finite | st.just(np.inf), min_size=nodes, max_size=nodes))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    if library is Library.FOREST:
        leaves = generator.dirichlet(np.ones(outputs), nodes + trees)
        base = np.zeros(outputs)
    else:
        leaves = generator.normal(size=(nodes + trees, 1)).astype(number)
        base = generator.normal(size=outputs).astype(number)
    codes = [MISSING_NONE, MISSING_ZERO, MISSING_NAN] if library is Library.LIGHTGBM else [MISSING_NAN]
    arrays = TreeArrays(
        node_offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        feature=generator.integers(0, FEATURES, nodes).astype(np.int32),
        threshold=np.array(thresholds, number).reshape(nodes),
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        default_left=generator.integers(0, 2, nodes).astype(np.uint8),
        leaves=leaves,
        base=base,
        missing=generator.choice(codes, FEATURES).astype(np.uint8),
    )
    node = Trees("trees", library, FEATURES, outputs)
    require_trees(node, arrays)
    return node, arrays


def draw_tree(draw, size):
    """The children of `size` nodes: each later node is hung at some open place before it."""
    children: list[list[int | None]] = []
    open_places: list[tuple[int, int]] = []
    for number in range(size):
        if number:
            node, side = open_places.pop(draw(st.integers(0, len(open_places) - 1)))
            children[node][side] = number
        children.append([None, None])
        open_places += [(number, 0), (number, 1)]
    for leaf, (node, side) in enumerate(open_places):
        children[node][side] = -1 - leaf
    return children


def goes_left(library, arrays, node, value) -> bool:
    threshold, default_left = arrays.threshold[node], bool(arrays.default_left[node])
    if library is Library.XGBOOST:
        return default_left if np.isnan(value) else np.float32(value) < threshold
    if library is Library.FOREST:
        return default_left if np.isnan(value) else np.float64(np.float32(value)) <= threshold
    code = arrays.missing[arrays.feature[node]]
    if code == MISSING_NONE and np.isnan(value):
        value = 0.0
    if abs(value) <= LIGHTGBM_ZERO:
        value = 0.0
    if np.isnan(value) or (code == MISSING_ZERO and value == 0):
        return default_left
    return value <= threshold


def read_slowly(node, arrays, row):
    """Scores of one row by the words of the format."""
    scores = arrays.base.copy()
    for tree in range(arrays.tree_count):
        start, count = arrays.node_offsets[tree], arrays.node_offsets[tree + 1] - arrays.node_offsets[tree]
        at = 0 if count else -1
        while at >= 0:
            number = start + at
            sides = (arrays.left, arrays.right)
            at = sides[not goes_left(node.library, arrays, number, row[arrays.feature[number]])][number]
        leaf = arrays.leaves[start + tree + (-1 - at)]
        if node.library is Library.FOREST:
            scores += leaf
        else:
            scores[tree % node.outputs] += leaf[0]
    return scores


def walk(node, arrays, rows):
    forest = lay_out(node.library, arrays)
    scores = np.empty((rows.shape[0], node.outputs), arrays.base.dtype)
    scores[:] = arrays.base
    add_scores(
        rows, forest.handling, forest.thresholds, forest.links, forest.roots, forest.rows_of_leaves, scores
    )
    return scores


@settings(deadline=None, max_examples=200)
@given(
    case=forests(),
    rows=st.lists(st.tuples(*[values] * FEATURES), min_size=1, max_size=20),
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_every_row_of_every_tree_reaches_the_leaf_that_the_format_says(case, rows):
    node, arrays = case
    rows = np.array(rows, np.float64)
    expected = np.array([read_slowly(node, arrays, row) for row in rows])
    assert walk(node, arrays, rows).tobytes() == expected.tobytes()


@settings(deadline=None, max_examples=40)
@given(
    case=forests(),
    count=st.sampled_from([0, 1, 15, 16, 17, 63, 64, 65, 79, 80, 200]),
    seed=st.integers(0, 99),
)
def test_the_number_of_rows_walked_together_does_not_matter(case, count, seed):
    node, arrays = case
    rows = np.random.default_rng(seed).normal(size=(count, FEATURES))
    rows[rows > 1.5] = np.nan
    together = walk(node, arrays, rows)
    assert together.shape == (count, node.outputs)
    for index in range(count):
        assert walk(node, arrays, rows[index : index + 1]).tobytes() == together[index].tobytes()


def test_a_chain_as_deep_as_is_allowed_is_walked_to_its_end():
    depth = 4_000
    arrays = TreeArrays(
        node_offsets=np.array([0, depth], np.int64),
        feature=np.zeros(depth, np.int32),
        threshold=np.arange(depth, dtype=np.float64),
        left=-1 - np.arange(depth, dtype=np.int32),
        right=np.append(np.arange(1, depth), -1 - depth).astype(np.int32),
        default_left=np.zeros(depth, np.uint8),
        leaves=np.arange(depth + 1, dtype=np.float64)[:, np.newaxis],
        base=np.zeros(1),
        missing=np.array([MISSING_NAN], np.uint8),
    )
    node = Trees("trees", Library.LIGHTGBM, 1, 1)
    require_trees(node, arrays)
    rows = np.array([[-1.0], [0.0], [2_000.5], [depth - 1.0], [1e9], [np.nan]])
    assert walk(node, arrays, rows)[:, 0].tolist() == [0, 0, 2_001, depth - 1, depth, depth]


def test_links_are_probabilities_for_any_scores():
    scores = np.array([[0.0], [800.0], [-800.0], [1e30], [-1e30]])
    found = sigmoid(scores)
    assert found[:, 1].tolist() == pytest.approx([0.5, 1, 0, 1, 0])
    assert (found.sum(axis=1) == 1).all()
    wide = np.array([[0.0, 0.0, 0.0], [1e30, -1e30, 0.0], [700.0, 710.0, -5.0], [-1e30, -1e30, -1e30]])
    found = softmax(wide)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(4))
    assert found[1].tolist() == [1, 0, 0]
    assert found[2, 1] == pytest.approx(1 / (1 + np.exp(-10)))
