"""Kernels of the cell models for large data, compiled when they are first called.

Imported only where there are enough cells for it to pay. They compute what
:mod:`scifn._cells.likelihood`, :mod:`scifn._cells.mixture`, :mod:`scifn._cells.sums` and
:mod:`scifn._cells.producers` compute with numpy, and let go of the interpreter, so that runs of
cells can be worked on side by side. Positions are unsigned where they are many, which spares a
check for negative ones.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from scifn._matrix._numba import compiled

#: Factors above this are not multiplied up: some forty of them might be too large for a double.
LARGE: Final = 1e6
#: Factors that are multiplied up, of which the product is neither too large nor too small.
MANY: Final = 200
_U = np.uint64


def _add_rows(
    data: Any, genes: Any, indptr: Any, order: Any, slots: Any, weights: Any, constants: Any,
    n_columns: Any, out: Any,
) -> None:  # fmt: skip
    """Weighted sums of each row of a CSR matrix, with the table of weights of its depth.

    Cells come by depth, so that a table is used while it is near; genes beyond those of the
    tables are left out, and so are columns beyond those that a row asks for. Two genes are added
    at once, which halves the traffic.
    """
    n_genes = weights.shape[1]
    for at in range(order.size):
        i, table = _U(order[at]), _U(slots[order[at]])
        n = n_columns[i]
        for c in range(n):
            out[i, c] = constants[table, c]
        p, stop = _U(indptr[i]), _U(indptr[i + _U(1)])
        while p + _U(1) < stop:
            one, two = _U(genes[p]), _U(genes[p + _U(1)])
            x, y = float(data[p]), float(data[p + _U(1)])
            if one >= n_genes:
                one, x = _U(0), 0.0
            if two >= n_genes:
                two, y = _U(0), 0.0
            for c in range(n):
                out[i, c] += x * weights[table, one, c] + y * weights[table, two, c]
            p += _U(2)
        if p < stop and genes[p] < n_genes:
            one, x = _U(genes[p]), float(data[p])
            for c in range(n):
                out[i, c] += x * weights[table, one, c]


add_rows = compiled(_add_rows)


def _add_up(
    data: Any, genes: Any, indptr: Any, starts: Any, columns: Any, weights: Any,
    long: Any, longest: Any, short: Any, sums: Any, seen: Any,
) -> None:  # fmt: skip
    """Weighted sums, and genes above zero, of each column (rows of the result) in each cell.

    A gene weighs in the ``columns`` from ``starts[gene]`` to ``starts[gene + 1]``, and few do. The
    column ``longest`` is one in which many do, with the weights ``long``. Which values are of the
    few is noted down in ``short`` first, without a branch that no processor can guess: it has a
    place more than there are genes.
    """
    for i in range(indptr.size - 1):
        total, n, held = 0.0, 0, 0
        for p in range(_U(indptr[i]), _U(indptr[_U(i) + _U(1)])):
            gene, value = _U(genes[p]), float(data[p])
            total += long[gene] * value
            n += (value > 0) & (long[gene] != 0)
            short[held] = p
            held += starts[gene + _U(1)] > starts[gene]
        sums[longest, i], seen[longest, i] = total, n
        for h in range(held):
            gene, value = _U(genes[_U(short[h])]), float(data[_U(short[h])])
            for q in range(_U(starts[gene]), _U(starts[gene + _U(1)])):
                at = _U(columns[q])
                sums[at, i] += weights[q] * value
                seen[at, i] += value > 0


add_up = compiled(_add_up)


def _judge(
    found: Any, n_columns: Any, log_priors: Any, starts: Any, conditions: Any, holds: Any,
    subset_of: Any, type_of: Any, doubles: Any, share: Any, out: Any, best_double: Any,
) -> None:  # fmt: skip
    """Posterior of the types of cells, of which some components ask that conditions hold.

    Columns of ``found`` are likelihoods: first those within the subsets of a lineage (component
    ``subset_of[s]`` each), then those of all components. Column c asks the conditions from
    ``starts[c]`` to ``starts[c + 1]``, and no cell may be what is beyond its ``n_columns``; what is
    not allowed is left out before the rest is normalized. What the subsets have together is shared
    out among them as those within say, and components are added up to types (rows of ``out``). A
    cell that nothing is left of gets zeros.
    ``best_double`` is the likeliest of the components ``doubles``, the first of equals.
    ``share`` is room to work in, a place a column.
    """
    n_within = subset_of.size
    for i in range(found.shape[0]):
        for c in range(n_columns[i], share.size):
            share[c] = 0.0
        first, stop = 0, n_within
        for _ in range(2):
            best, total = -np.inf, 0.0
            for c in range(first, stop):
                may = True
                for q in range(starts[c], starts[c + 1]):
                    may = may and holds[conditions[q], i]
                share[c] = found[i, c] + log_priors[c] if may else -np.inf
                best = max(best, share[c])
            for c in range(first, stop):
                # far below the best it is zero to double precision
                share[c] = np.exp(share[c] - best) if share[c] - best > -746.0 else 0.0
                total += share[c]
            for c in range(first, stop):
                share[c] = share[c] / total if total > 0.0 else 0.0
            first, stop = n_within, n_columns[i]
        together = 0.0
        for s in range(n_within):
            together += share[n_within + subset_of[s]]
        for s in range(n_within):
            share[n_within + subset_of[s]] = together * share[s]
        for t in range(out.shape[0]):
            out[t, i] = 0.0
        for c in range(n_columns[i] - n_within):
            out[type_of[c], i] += share[n_within + c]
        most = -1.0
        for d in range(doubles.size):
            if share[n_within + doubles[d]] > most:
                most, best_double[i] = share[n_within + doubles[d]], d


judge = compiled(_judge)


def _share_logs(ratio: Any, groups: Any, share: Any, product: Any, held: Any, log: Any) -> None:
    """Sums over the cells of each group of log(1 + (ratio - 1) share), for each share.

    Factors are multiplied up in ``product``, of ones, and the logarithm is taken of many of them
    at once; ``held``, of zeros, counts them. Of ratios up to 1 a factor is at least what the
    largest share leaves, some 1/20; the others are at most a million, and count for six.
    """
    n = share.size
    for i in range(ratio.size):
        group = _U(groups[i])
        more = ratio[i] - 1.0
        if more > LARGE:
            for s in range(n):
                log[group, s] += np.log(1.0 + more * share[s])
            continue
        for s in range(n):
            product[group, s] *= 1.0 + more * share[s]
        held[group] += 1 if more <= 0.0 else 6
        if held[group] >= MANY:
            held[group] = 0
            for s in range(n):
                log[group, s] += np.log(product[group, s])
                product[group, s] = 1.0


def _produces(
    ratio: Any, groups: Any, share: Any, weights: Any, stops: Any, series: Any, terms: Any, out: Any
) -> None:
    """Add the probability that a cell produces, over the first weighted shares of its group.

    Up to a ratio of 1, which is that of most cells without any UMI, from the power series of the
    group; where that has no ``terms``, and above, share by share.
    """
    for i in range(ratio.size):
        group, total = _U(groups[i]), 0.0
        if terms[group] > 0 and ratio[i] <= 1.0:
            for t in range(terms[group] - 1, -1, -1):
                total = total * (1.0 - ratio[i]) + series[group, _U(t)]
            out[i] += total * ratio[i]
            continue
        for s in range(stops[group]):
            made = share[s] * ratio[i]
            total += weights[group, s] * made / (1.0 - share[s] + made)
        out[i] += total


share_logs = compiled(_share_logs)
# a sum whose order may change, so that it is taken over several shares at once
produces = compiled(_produces, fastmath={"reassoc"})
