"""The loops of the tests, compiled: each feature is put in order once, and all that is needed is counted on
the way."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from services.features.columns import Floats

_DIGIT_BITS = 11
_DIGITS = 1 << _DIGIT_BITS

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _ordered(values, keys, rows, spare_keys, spare_rows, counts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The known values in ascending order, equal ones by row: `(known, keys, rows)`, where equal values and
    only they have equal keys.

    A radix sort (Knuth, The Art of Computer Programming 3, 5.2.5) of the 33 bits below the highest in which
    the values differ, three digits of 11; what is still out of order then differs in the last bits alone and
    lies together: few values do, and insertion puts them right. Should they be many, all digits are sorted.
    """
    one = np.uint64(1)
    top = one << np.uint64(63)
    mask = np.uint64(_DIGITS - 1)
    bits = values.view(np.uint64)
    known = 0
    differing = np.uint64(0)
    for row in range(values.size):
        value = values[row]
        if value == value:
            key = bits[row] if value != 0.0 else np.uint64(0)  # zero has two signs
            key = ~key if key & top else key | top
            keys[known] = key
            rows[known] = row
            differing |= key ^ keys[0]
            known += 1
    height = 0
    while height < 64 and differing >> np.uint64(height):
        height += 1
    lowest = max(0, height - 3 * _DIGIT_BITS)
    while True:
        for shift in range(lowest, height, _DIGIT_BITS):
            counts[:] = 0
            by = np.uint64(shift)
            for i in range(known):
                counts[(keys[i] >> by) & mask] += 1
            if counts[(keys[0] >> by) & mask] == known:
                continue
            before = 0
            for digit in range(_DIGITS):
                count = counts[digit]
                counts[digit] = before
                before += count
            for i in range(known):
                digit = (keys[i] >> by) & mask
                place = counts[digit]
                counts[digit] = place + 1
                spare_keys[place] = keys[i]
                spare_rows[place] = rows[i]
            keys, spare_keys = spare_keys, keys
            rows, spare_rows = spare_rows, rows
        moves = 0
        for i in range(1, known):
            key = keys[i]
            if key < keys[i - 1]:
                row = rows[i]
                j = i
                while j > 0 and keys[j - 1] > key:
                    keys[j] = keys[j - 1]
                    rows[j] = rows[j - 1]
                    j -= 1
                keys[j] = key
                rows[j] = row
                moves += i - j
                if moves > 4 * known:
                    break
        if moves <= 4 * known:
            return known, keys, rows
        # Equal values may have changed places by now: their rows are put in order again.
        known = 0
        for row in range(values.size):
            value = values[row]
            if value == value:
                key = bits[row] if value != 0.0 else np.uint64(0)
                keys[known] = ~key if key & top else key | top
                rows[known] = row
                known += 1
        lowest = 0


@_compiled
def rank_sums(values, codes, classes, distinct, known_of, sums_of, low_of, ties):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Count what rank tests of classes need, feature by feature.

    Parameters
    ----------
    values : (features, rows), NaN where not known
    codes : int64 (rows,), the class of each row, 0 to `classes` - 1
    distinct : int64 (features,), filled with the number of different values, 3 for more
    known_of : float64 (features, classes), filled with known rows of each class
    sums_of : float64 (features, classes), filled with the sum of their ranks, mean ranks for equal values
    low_of : float64 (features, classes), filled with those that have the smallest value
    ties : float64 (features,), filled with the sum of t^3 - t over t equal values
    """
    count = values.shape[1]
    keys, spare_keys = np.empty(count, np.uint64), np.empty(count, np.uint64)
    rows, spare_rows = np.empty(count, np.int32), np.empty(count, np.int32)
    counts = np.empty(_DIGITS, np.int32)
    for feature in range(values.shape[0]):
        known, ordered, at = _ordered(values[feature], keys, rows, spare_keys, spare_rows, counts)
        sums, numbers, lows = sums_of[feature], known_of[feature], low_of[feature]
        sums[:] = 0.0
        numbers[:] = 0.0
        lows[:] = 0.0
        different, tied = 0, 0.0
        first = 0
        while first < known:
            last = first
            while last + 1 < known and ordered[last + 1] == ordered[first]:
                last += 1
            rank = 0.5 * (first + last) + 1.0
            for i in range(first, last + 1):
                code = codes[at[i]]
                sums[code] += rank
                numbers[code] += 1.0
            if different == 0:
                lows[:] = numbers
            equal = float(last - first + 1)
            tied += equal * equal * equal - equal
            different += 1
            first = last + 1
        distinct[feature] = min(different, 3)
        ties[feature] = tied


@_compiled
def concordances(values, target, distinct, counted):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Count the pairs of rows that Kendall's tau needs, feature by feature, in O(n log n) (Knight 1966).

    Parameters
    ----------
    values : (features, rows), NaN where not known; rows in ascending order of the target
    target : int32 (rows,), dense ranks, ascending
    distinct : int64 (features,), filled as `rank_sums` does
    counted : float64 (features, 9), filled with: known rows, discordant pairs, pairs equal in both; then of
        the feature and of the target the sums over t equal values of t(t - 1)/2, t(t - 1)(t - 2) and
        t(t - 1)(2t + 5)
    """
    count = values.shape[1]
    keys, spare_keys = np.empty(count, np.uint64), np.empty(count, np.uint64)
    rows, spare_rows = np.empty(count, np.int32), np.empty(count, np.int32)
    counts = np.empty(_DIGITS, np.int32)
    ranks, merged = np.empty(count, np.int32), np.empty(count, np.int32)
    for feature in range(values.shape[0]):
        out = counted[feature]
        out[:] = 0.0
        x = values[feature]
        equal = 0.0
        before = -1
        for row in range(count):  # ties of the target among the known rows
            if x[row] == x[row]:
                if target[row] != before:
                    _add_ties(out, 6, equal)
                    equal, before = 0.0, target[row]
                equal += 1.0
        _add_ties(out, 6, equal)
        known, ordered, at = _ordered(x, keys, rows, spare_keys, spare_rows, counts)
        out[0] = known
        different, first = 0, 0
        for i in range(known):
            ranks[i] = target[at[i]]
        while first < known:
            last, both = first, 1.0
            while last + 1 < known and ordered[last + 1] == ordered[first]:
                last += 1
                if ranks[last] == ranks[last - 1]:
                    both += 1.0
                else:
                    out[2] += both * (both - 1.0) / 2.0
                    both = 1.0
            out[2] += both * (both - 1.0) / 2.0
            _add_ties(out, 3, float(last - first + 1))
            different += 1
            first = last + 1
        distinct[feature] = min(different, 3)
        out[1] = _inversions(ranks[:known], merged[:known])


@_compiled
def _add_ties(out, at, equal):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    pairs = equal * (equal - 1.0)
    out[at] += pairs / 2.0
    out[at + 1] += pairs * (equal - 2.0)
    out[at + 2] += pairs * (2.0 * equal + 5.0)


@_compiled
def _inversions(ranks, spare):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Pairs whose first is the larger one; sorts `ranks` or `spare` by merging."""
    size, found = ranks.size, 0
    width = 1
    while width < size:
        for start in range(0, size, 2 * width):
            middle, stop = min(start + width, size), min(start + 2 * width, size)
            left, right, place = start, middle, start
            while left < middle and right < stop:  # without branches: which side is next cannot be foretold
                first, second = ranks[left], ranks[right]
                is_second = int(second < first)
                spare[place] = min(first, second)
                found += is_second * (middle - left)
                left += 1 - is_second
                right += is_second
                place += 1
            while left < middle:
                spare[place] = ranks[left]
                left += 1
                place += 1
            while right < stop:
                spare[place] = ranks[right]
                right += 1
                place += 1
        ranks, spare = spare, ranks
        width *= 2
    return found


@_compiled
def _ranks(values, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    count = values.shape[1]
    keys, spare_keys = np.empty(count, np.uint64), np.empty(count, np.uint64)
    rows, spare_rows = np.empty(count, np.int32), np.empty(count, np.int32)
    counts = np.empty(_DIGITS, np.int32)
    for feature in range(values.shape[0]):
        known, ordered, at = _ordered(values[feature], keys, rows, spare_keys, spare_rows, counts)
        ranked = out[feature]
        ranked[:] = 0.0
        mean = 0.5 * (known - 1.0)
        squares = 0.0
        first = 0
        while first < known:
            last = first
            while last + 1 < known and ordered[last + 1] == ordered[first]:
                last += 1
            centred = 0.5 * (first + last) - mean
            for i in range(first, last + 1):
                ranked[at[i]] = centred
            squares += centred * centred * (last - first + 1)
            first = last + 1
        if squares > 0.0:
            ranked *= 1.0 / np.sqrt(squares)


def unit_ranks(values: Floats) -> npt.NDArray[np.float32]:
    """Ranks of each feature over its known rows, mean 0, sum of squares 1; 0 where it is not known.

    The product of two such rows is their rank correlation (Spearman) where both are known at the same rows,
    and otherwise one that takes what is not known for the middle.
    """
    out: npt.NDArray[np.float32] = np.empty(values.shape, np.float32)
    _ranks(values, out)
    return out
