"""The rounds of expansion, and the last choice among what they found.

The rounds look for formulas on one half of the blocks of time, the last choice is made on the other: the best
of thousands looks good on the rows it was the best on, whatever it knows.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.features.autofeat.formulas import Candidate, Formula, candidates, name_of, named
from services.features.autofeat.novelty import Novelty, Ranks, basis, forward, moved, target_columns, without
from services.features.columns import Floats
from services.features.config import AutofeatChoice
from services.features.selection.compiled import unit_ranks
from services.features.selection.correlation import companions
from services.features.selection.spans import spans
from services.features.selection.target import Target

Rows: TypeAlias = npt.NDArray[np.int64]

ROWS_MAX = 50_000  # evenly over all rows: more tell hardly more of a formula
CORRELATION_MAX = 0.95
KNOWN_SHARE_MIN = 0.95  # of the rows where what it is made of is known

_PROBES = 5  # of each candidate
_TIME_BLOCKS = 20
_ROWS_MIN = 10 * _TIME_BLOCKS  # with fewer a block says nothing
_SAMPLE_SHARE = 0.8  # of the blocks that the last choice is made on, in each of its subsamples
# Values, ranks and what is made of them on the way, of one candidate at one row.
_VALUE_BYTES = 32
_BATCH_MAX = 64


@dataclass(frozen=True)
class Symbolic:
    """A formula that was found: `name` follows from `expression`."""

    name: str
    expression: str


@dataclass(frozen=True, order=True)
class _Scored:
    """A candidate by what it adds; of equal ones the earlier."""

    share: float
    place: int
    candidate: Candidate


def symbolic_features(
    names: Sequence[str],
    values: Floats,
    order: Sequence[int],
    target: Target,
    choice: AutofeatChoice,
    seed: int,
    look: Callable[[], None],
) -> list[Symbolic]:
    """Find formulas over features that say of the target what the features they start from do not.

    Parameters
    ----------
    names, values : names and float64 (features, rows), NaN where not known
        Rows in order of time.
    order : sequence of int
        The features that a formula may read, the most relevant first. Those that repeat an earlier one are
        not started from.
    look
        Called between pieces of the work; what it raises ends it.

    Returns
    -------
    list of Symbolic
        Those chosen on most subsamples, the most often chosen first. The same for the same arguments.
    """
    generator = np.random.default_rng(np.random.SeedSequence(abs(seed), spawn_key=(int(seed < 0),)))
    rows = _rows(values.shape[1], choice.max_memory_bytes, target.sources)
    some = Target(target.kind, target.values[rows])
    inputs = _inputs(names, values, rows, order, choice.max_inputs, look)
    if not inputs or len(rows) < _ROWS_MIN or (len(some.classes) < 2 and not np.ptp(some.values)):
        return []
    searched, judged = _halves(len(rows))
    sought = target_columns(Target(some.kind, some.values[searched]))
    pool, first_new = list(inputs), 0
    found: list[Formula] = []
    for _ in range(choice.steps):
        # What a round adds is new to the features and to the rounds before.
        known = basis(_ranked([*inputs, *found], searched, look), look)
        novelty = Novelty(known, sought, _PROBES, generator, look)
        best, bar = _screened(pool, first_new, choice, novelty, searched, look)
        distinct = _distinct([*inputs, *found], [each.candidate.formula(pool) for each in best], look)
        shares = {each.candidate.node(pool): each.share for each in best}
        found += [one for one in distinct if shares[one.node] > bar][: choice.max_features]
        first_new = len(inputs)
        pool = [*inputs, *distinct[: choice.max_inputs]]
        if len(pool) == len(inputs):
            break
    if not found:
        return []
    return [
        Symbolic(name_of(one.node), one.text)
        for one in _last_choice(inputs, found, some, judged, choice, generator, look)
    ]


def work_bytes(choice: AutofeatChoice, rows: int) -> int:
    """What a search takes at most, beside the features it is given."""
    looked_at = len(_rows(rows, choice.max_memory_bytes))
    kept = choice.max_inputs + choice.steps * choice.max_features
    at_a_time = min(choice.max_memory_bytes, _BATCH_MAX * looked_at * _VALUE_BYTES)
    # Of one kept: its values, and ranks of it and its probes for the last choice, some of them twice.
    return at_a_time + kept * looked_at * 8 * (2 + _PROBES)


def _rows(count: int, memory_bytes: int, sources: Rows | None = None) -> Rows:
    """Evenly spaced ones, of each source its share, as many as are worth it and leave room for some
    candidates at a time."""
    size = min(count, ROWS_MAX, max(1, memory_bytes // (8 * _VALUE_BYTES)))
    if sources is None:
        return _evenly(count, size)
    # Rows of sources alternate: every other row of all would be of one source.
    own = [np.flatnonzero(sources == source) for source in np.unique(sources)]
    return np.sort(np.concatenate([rows[_evenly(rows.size, size * rows.size // count)] for rows in own]))


def _evenly(count: int, size: int) -> Rows:
    return np.linspace(0, count - 1, size).astype(np.int64)


def _inputs(
    names: Sequence[str],
    values: Floats,
    rows: Rows,
    order: Sequence[int],
    count_max: int,
    look: Callable[[], None],
) -> list[Formula]:
    found: list[Formula] = []
    for start in range(0, len(order), count_max):
        given = [
            named(names[each], np.ascontiguousarray(values[each, rows]))
            for each in order[start : start + count_max]
        ]
        found += _distinct(found, given, look)
        if len(found) >= count_max:
            break
    return found[:count_max]


def _screened(
    pool: Sequence[Formula],
    first_new: int,
    choice: AutofeatChoice,
    novelty: Novelty,
    searched: Rows,
    look: Callable[[], None],
) -> tuple[list[_Scored], float]:
    """The candidates that add most, best first, and what the best of all probes added."""
    rows = len(pool[0].values)
    count = max(1, min(_BATCH_MAX, choice.max_memory_bytes // (rows * _VALUE_BYTES)))
    kept_max = 2 * max(choice.max_features, choice.max_inputs)
    best: list[_Scored] = []
    bar, place = 0.0, 0
    for batch in _batches(candidates(pool, first_new, choice.transformations), count):
        look()
        columns = np.stack([candidate.values(pool) for candidate in batch])
        usable = [
            _is_usable(column, candidate, pool) for column, candidate in zip(columns, batch, strict=True)
        ]
        columns[np.logical_not(usable)] = 0.0
        shares, probed = novelty.scores(columns[:, searched])
        bar = max(bar, float(probed.max()))
        for candidate, share in zip(batch, shares, strict=True):
            place -= 1
            if share > 0.0:
                best.append(_Scored(float(share), place, candidate))
        best = heapq.nlargest(kept_max, best)
    return best, bar


def _is_usable(column: Floats, candidate: Candidate, pool: Sequence[Formula]) -> bool:
    """Whether it is known nearly everywhere where it could be, and not the same everywhere."""
    made_of = ~np.isnan(pool[candidate.first].values)
    if candidate.second is not None:
        made_of &= ~np.isnan(pool[candidate.second].values)
    known = column[~np.isnan(column)]
    return len(known) >= max(1, KNOWN_SHARE_MIN * made_of.sum()) and bool(known.min() < known.max())


def _distinct(
    before: Sequence[Formula], ordered: Sequence[Formula], look: Callable[[], None]
) -> list[Formula]:
    """Those that go neither with one before nor with a better one."""
    if not ordered:
        return []
    both = [*before, *ordered]
    gone = companions(np.stack([one.values for one in both]), range(len(both)), CORRELATION_MAX, look)
    return [one for place, one in enumerate(ordered, len(before)) if place not in gone]


def _last_choice(
    inputs: Sequence[Formula],
    found: Sequence[Formula],
    target: Target,
    judged: Sequence[Rows],
    choice: AutofeatChoice,
    generator: np.random.Generator,
    look: Callable[[], None],
) -> list[Formula]:
    """Those that most subsamples of the blocks `judged` choose, the most often chosen first."""
    times: Counter[int] = Counter()
    for _ in range(choice.selection_runs):
        look()
        rows = np.concatenate(judged)
        if choice.selection_runs > 1:
            count = max(1, round(_SAMPLE_SHARE * len(judged)))
            drawn = np.sort(generator.choice(len(judged), count, replace=False))
            rows = np.concatenate([judged[each] for each in drawn])
        wanted = target_columns(Target(target.kind, target.values[rows]))
        said = basis(_ranked(inputs, rows, look), look)
        ranks = _ranked(found, rows, look)
        probes = np.concatenate([moved(ranks, generator) for _ in range(_PROBES)])
        times.update(
            forward(
                without(ranks, said, look),
                without(probes, said, look),
                without(wanted, said, look),
                choice.max_features,
                look,
            )
        )
    often = [place for place, count in times.items() if 2 * count > choice.selection_runs]
    often.sort(key=lambda place: (-times[place], place))
    return [found[place] for place in often[: choice.max_features]]


def _halves(rows: int) -> tuple[Rows, list[Rows]]:
    """The rows of every other block of time, and the blocks between."""
    blocks = np.array_split(np.arange(rows), _TIME_BLOCKS)
    return np.concatenate(blocks[::2]), blocks[1::2]


def _ranked(formulas: Sequence[Formula], rows: Rows, look: Callable[[], None]) -> Ranks:
    """Unit ranks over these rows. (formulas, rows)"""
    ranks: Ranks = np.empty((len(formulas), len(rows)), np.float32)
    for some in spans(len(formulas), len(rows), look):
        ranks[some] = unit_ranks(np.stack([one.values[rows] for one in formulas[some]]))
    return ranks


def _batches(listed: Iterable[Candidate], count: int) -> Iterator[list[Candidate]]:
    remaining = iter(listed)
    while batch := list(islice(remaining, count)):
        yield batch
