"""How each kind of matrix is cut into blocks: one short function a kind.

A block is a CSR matrix of some rows (or, for column-compressed storage, of some
columns) with the position it came from. To add a kind of storage, register one
function here and one parameter in ``tests/conftest.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import scipy.sparse as sp

from scifn._errors import MatrixError

#: Non-zeros in a block: small enough for a laptop, large enough to amortize the call.
BLOCK_NNZ = 4_000_000

SUPPORTED = (
    "numpy array, scipy CSR or CSC (matrix or array), backed h5ad (CSR, CSC or dense), "
    "dask array of dense or sparse chunks"
)


@dataclass(frozen=True)
class Block:
    """Rows ``rows`` and features ``features`` of a matrix, as CSR."""

    rows: slice
    features: slice
    matrix: Any


def _row_slices(shape: tuple[int, int], nnz: int | None) -> Iterator[slice]:
    n_rows, n_columns = shape
    per_row = max(1, (n_columns if nnz is None else -(-nnz // max(n_rows, 1))))
    step = max(1, BLOCK_NNZ // per_row)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _as_csr(block: Any) -> Any:
    """CSR of a dense or sparse block; floats at least 32 bits wide, so that sums are exact."""
    block = sp.csr_array(block)
    if not block.has_canonical_format:
        # entries that stand twice are one value; the user's own arrays are never touched
        block = block.copy()
        block.sum_duplicates()
    if block.dtype == np.bool_:
        return block.astype(np.int8)
    return block.astype(np.float32) if block.dtype == np.float16 else block


@singledispatch
def blocks(matrix: Any) -> Iterator[Block]:
    """Cut ``matrix`` into CSR blocks that cover it once."""
    module = type(matrix).__module__.partition(".")[0]
    if module == "dask":
        return _dask_blocks(matrix)
    if module == "anndata" and hasattr(matrix, "format"):  # a sparse matrix in a backed file
        return _backed_csc(matrix) if matrix.format == "csc" else _backed_rows(matrix)
    if module in {"h5py", "zarr"}:
        return _backed_rows(matrix)
    msg = (
        f"the matrix is stored as {type(matrix).__module__}.{type(matrix).__name__}, which scifn "
        f"cannot read; it reads {SUPPORTED}. Convert it, for instance with scipy.sparse.csr_array."
    )
    raise MatrixError(msg)


@blocks.register(np.ndarray)
def _dense(matrix: np.ndarray[Any, Any]) -> Iterator[Block]:
    everything = slice(0, matrix.shape[1])
    for rows in _row_slices(matrix.shape, None):
        yield Block(rows, everything, _as_csr(np.asarray(matrix[rows])))


@blocks.register(sp.spmatrix)
@blocks.register(sp.sparray)
def _sparse(matrix: Any) -> Iterator[Block]:
    if matrix.format == "csc":
        yield from _csc(matrix, lambda columns: matrix[:, columns])
        return
    matrix = matrix if matrix.format == "csr" else matrix.tocsr()
    everything = slice(0, matrix.shape[1])
    for rows in _row_slices(matrix.shape, matrix.nnz):
        yield Block(rows, everything, _as_csr(matrix[rows]))


def _csc(matrix: Any, take: Callable[[slice], Any]) -> Iterator[Block]:
    everything = slice(0, matrix.shape[0])
    nnz = getattr(matrix, "nnz", None)
    for columns in _row_slices((matrix.shape[1], matrix.shape[0]), nnz):
        yield Block(everything, columns, _as_csr(take(columns)))


def _backed_csc(matrix: Any) -> Iterator[Block]:
    return _csc(matrix, lambda columns: matrix[:, columns])


def _backed_rows(matrix: Any) -> Iterator[Block]:
    everything = slice(0, matrix.shape[1])
    for rows in _row_slices(matrix.shape, _stored_values(matrix)):
        yield Block(rows, everything, _as_csr(matrix[rows.start : rows.stop]))


def _stored_values(matrix: Any) -> int | None:
    """Stored values of a sparse dataset in a file; None of a dense one."""
    group = getattr(matrix, "group", None)
    return int(group["data"].shape[0]) if group is not None else None


def _dask_blocks(matrix: Any) -> Iterator[Block]:
    for rows, features, delayed in dask_parts(matrix):
        yield Block(rows, features, _as_csr(delayed.compute()))


def dask_parts(matrix: Any) -> Iterator[tuple[slice, slice, Any]]:
    """Rows, features and delayed value of each chunk of a dask array."""
    if any(np.isnan(size) for sizes in matrix.chunks for size in sizes):
        matrix.compute_chunk_sizes()
    grid = matrix.to_delayed()
    row_ends, column_ends = (np.cumsum(sizes) for sizes in matrix.chunks)
    for i, row_end in enumerate(row_ends):
        rows = slice(int(row_end - matrix.chunks[0][i]), int(row_end))
        for j, column_end in enumerate(column_ends):
            columns = slice(int(column_end - matrix.chunks[1][j]), int(column_end))
            yield rows, columns, grid[i, j]


def is_dask(matrix: Any) -> bool:
    """Whether ``matrix`` is a dask array (dask is never imported to ask)."""
    return type(matrix).__module__.partition(".")[0] == "dask"


def is_column_compressed(matrix: Any) -> bool:
    """Whether reading a few rows of ``matrix`` costs as much as reading all of it."""
    return getattr(matrix, "format", None) == "csc"


def storage_name(matrix: Any) -> str:
    """How ``matrix`` is stored, in words for the record.

    >>> import numpy as np
    >>> storage_name(np.zeros((2, 3), dtype="float32"))
    'ndarray of float32'
    """
    kind = type(matrix).__name__.strip("_")
    if is_dask(matrix):
        kind = f"dask array ({'x'.join(str(n) for n in matrix.numblocks)} chunks)"
    return f"{kind} of {matrix.dtype}"


def sample_rows(matrix: Any, n: int) -> Any:
    """About ``n`` rows spread evenly over ``matrix``, as CSR (all rows if there are fewer).

    Column-compressed storage is sampled whole when it is in memory; from a file, its first
    columns stand in (enough to tell integers from logarithms).
    """
    n_rows = matrix.shape[0]
    if is_column_compressed(matrix) and not sp.issparse(matrix):
        return _as_csr(matrix[:, : min(matrix.shape[1], 500)])
    if n_rows <= n and not is_dask(matrix):
        return _as_csr(matrix[:])
    starts = np.unique(np.linspace(0, max(n_rows - 1, 0), min(n, max(n_rows, 1))).astype(np.int64))
    if is_dask(matrix):
        return _as_csr(_first_dask_rows(matrix, n))
    if sp.issparse(matrix) or isinstance(matrix, np.ndarray):
        matrix = matrix if getattr(matrix, "format", "csr") != "coo" else matrix.tocsr()
        return _as_csr(matrix[starts])
    # from a file, eight runs of rows are read rather than n scattered ones
    runs = [slice(int(s), int(min(s + n // 8 + 1, n_rows))) for s in starts[:: max(1, n // 8)]]
    return sp.vstack([_as_csr(matrix[run.start : run.stop]) for run in runs], format="csr")


def _first_dask_rows(matrix: Any, n: int) -> Any:
    """Some rows of the first row of chunks: only those chunks are computed."""
    height = matrix.chunks[0][0]
    rows = min(n, int(height)) if not np.isnan(height) else n
    parts = [_as_csr(matrix.blocks[0, j].compute())[:rows] for j in range(matrix.numblocks[1])]
    return sp.hstack(parts, format="csr")
