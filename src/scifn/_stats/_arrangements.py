"""Arrangements of donors: labels, orders and signs, all of them or a random sample, in pieces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Numbers held at once, which bounds the memory; few, for they then stay near the processor.
_CHUNK = 50_000
#: Binary digits of a random number below 1.
_DRAWN = 53


def all_signs(n: int, width: int) -> Iterator[FloatArray]:
    for start, m in _chunks(2**n, width):
        code = np.arange(start, start + m)[:, None] >> np.arange(n)[None, :]
        yield 1.0 - 2.0 * (code & 1).astype(np.float64)


def random_signs(
    n: int, n_permutations: int, rng: np.random.Generator, width: int
) -> Iterator[FloatArray]:
    for _, m in _chunks(n_permutations, width):
        yield rng.integers(0, 2, size=(m, n)).astype(np.float64) * 2 - 1


def all_labels(regressor: FloatArray, block: IntArray, width: int) -> Iterator[FloatArray]:
    """Every way to give the group's labels out within blocks."""
    choices = []
    for code in np.unique(block):
        members = np.flatnonzero(block == code)
        hits = int(regressor[members].sum())
        flat = itertools.chain.from_iterable(itertools.combinations(members.tolist(), hits))
        count = math.comb(len(members), hits)
        choices.append(np.fromiter(flat, dtype=np.int64, count=count * hits).reshape(count, hits))
    picked = _product(choices)
    for start, m in _chunks(len(picked), width):
        rows = np.zeros((m, len(block)))
        np.put_along_axis(rows, picked[start : start + m], 1.0, axis=1)
        yield rows


def all_orders(block: IntArray, width: int) -> Iterator[IntArray]:
    """Every order of the rows that keeps them in their blocks."""
    members = [np.flatnonzero(block == code) for code in np.unique(block)]
    each = [np.array([*itertools.permutations(m.tolist())], dtype=np.int64) for m in members]
    found = _product(each)
    orders = np.empty_like(found)
    orders[:, np.concatenate(members)] = found
    for start, m in _chunks(len(orders), width):
        yield orders[start : start + m]


def _product(choices: list[IntArray]) -> IntArray:
    """Every combination of one row of each array, side by side."""
    places = np.indices([len(c) for c in choices]).reshape(len(choices), -1)
    return np.hstack([c[i] for c, i in zip(choices, places, strict=True)])


def orders(
    block: IntArray, n_permutations: int, rng: np.random.Generator, width: int
) -> Iterator[IntArray]:
    """Random orders of the rows that keep them in their blocks."""
    places = places_of(block)
    one = not np.any(block != block[:1])
    for found in by_place(block, n_permutations, rng, width):
        if one:
            yield found
            continue
        orders = np.empty_like(found)
        orders[:, places] = found
        yield orders


def places_of(block: IntArray) -> IntArray:
    """Rows by block, as :func:`by_place` goes through them."""
    return np.argsort(block, kind="stable")


def by_place(
    block: IntArray, n_permutations: int, rng: np.random.Generator, width: int
) -> Iterator[IntArray]:
    """Random orders as they are found: column p is what row ``places_of(block)[p]`` becomes."""
    n = len(block)
    bits = max(n - 1, 1).bit_length()
    fits = _DRAWN + bits + int(block.max(initial=0)).bit_length() < 64
    tag = (block << (_DRAWN + bits)) | np.arange(n) if fits else block
    for _, m in _chunks(n_permutations, width):
        keys = rng.random((m, n))
        if not fits:
            # block + a number below 1: shuffles inside the blocks and keeps the blocks in order
            yield np.argsort(keys + tag, axis=1)
            continue
        # the same order from whole numbers, block before key before row, for values are sorted
        # in half of the time that places are
        keys *= 2.0**_DRAWN
        found = keys.astype(np.int64)
        found <<= bits
        found |= tag
        found.sort(axis=1)
        found &= (1 << bits) - 1
        yield found


def _chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
    """Starts and lengths of pieces that hold a bounded number of values of this width."""
    step = max(1, _CHUNK // width)
    for start in range(0, total, step):
        yield start, min(step, total - start)
