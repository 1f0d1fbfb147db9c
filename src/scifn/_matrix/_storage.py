"""How each kind of matrix is cut into blocks: one short function a kind.

A block is a CSR matrix of some rows (or, for column-compressed storage, of some
columns) with the position it came from. To add a kind of storage, register one
function here and one parameter in ``tests/conftest.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._errors import MatrixError
from scifn._matrix import _files
from scifn._matrix._memory import native
from scifn._matrix._progress import counted

#: Non-zeros in a block: small enough for a laptop, large enough to amortize the call.
BLOCK_NNZ = _files.BLOCK_NNZ
#: Columns of a column-compressed file that tell integers from logarithms.
_FIRST_COLUMNS = 500

SUPPORTED = (
    "numpy array, scipy CSR or CSC (matrix or array), backed h5ad or zarr (CSR, CSC or dense), "
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


def as_csr(block: Any) -> Any:
    """CSR of a dense or sparse block, every place stored once; never the caller's own memory.

    Floats become at least 32 bits wide: scipy has no narrower ones, and sums stay exact.
    """
    if block.dtype.kind not in "biuf":
        msg = (
            f"the matrix holds values of type {block.dtype}; numbers are needed. Convert it, for "
            "instance with .astype('float32')."
        )
        raise MatrixError(msg)
    if block.dtype == np.float16:
        block = block.astype(np.float32)
    block = sp.csr_array(native(block))
    if block.dtype == np.bool_:
        block = block.astype(np.int8)
    if not block.has_canonical_format:
        # a place may be stored in parts; their sum is the value, and only it may be transformed
        block = block.copy()
        block.sum_duplicates()
    return block


@singledispatch
def blocks(matrix: Any) -> Iterator[Block]:
    """Cut ``matrix`` into CSR blocks that cover it once."""
    if is_dask(matrix):
        from scifn._matrix import _dask

        return _dask.dask_blocks(matrix)
    if _files.in_file(matrix):
        return in_order(matrix, _files.ahead(file_blocks(matrix)))
    msg = (
        f"the matrix is stored as {type(matrix).__module__}.{type(matrix).__name__}, which scifn "
        f"cannot read; it reads {SUPPORTED}. Convert it, for instance with scipy.sparse.csr_array."
    )
    raise MatrixError(msg)


@blocks.register(np.ndarray)
def _dense(matrix: np.ndarray[Any, Any]) -> Iterator[Block]:
    everything = slice(0, matrix.shape[1])
    slices = _row_slices(matrix.shape, None)
    found = (Block(rows, everything, as_csr(np.asarray(matrix[rows]))) for rows in slices)
    return in_order(matrix, found)


@blocks.register(sp.spmatrix)
@blocks.register(sp.sparray)
def _sparse(matrix: Any) -> Iterator[Block]:
    if matrix.format == "csc":
        return in_order(matrix, _csc(matrix))
    matrix = matrix if matrix.format == "csr" else matrix.tocsr()
    everything = slice(0, matrix.shape[1])
    slices = _row_slices(matrix.shape, matrix.nnz)
    return in_order(matrix, (Block(rows, everything, as_csr(matrix[rows])) for rows in slices))


def _csc(matrix: Any) -> Iterator[Block]:
    everything = slice(0, matrix.shape[0])
    for columns in _row_slices((matrix.shape[1], matrix.shape[0]), matrix.nnz):
        yield Block(everything, columns, as_csr(matrix[:, columns]))


def file_blocks(matrix: Any, *, as_stored: bool = False, workers: int = 1) -> Iterator[Block]:
    """Blocks of a file; ``as_stored`` leaves rows of CSR as they are stored.

    With ``workers`` that many blocks are worked on at once, so that each must be smaller.
    """
    _files.tell(matrix)
    read = _files.compressed if _files.is_sparse_file(matrix) else _files.dense
    parts = read(matrix, BLOCK_NNZ, workers)
    return _file_blocks(matrix, parts, as_stored=as_stored)


def _file_blocks(
    matrix: Any, parts: Iterator[tuple[slice, Any]], *, as_stored: bool
) -> Iterator[Block]:
    rows, columns = (slice(0, n) for n in matrix.shape)
    by_column = is_column_compressed(matrix)
    as_stored = as_stored and getattr(matrix, "format", None) == "csr"
    for part, found in parts:
        block = found if as_stored else as_csr(found)
        yield Block(rows, part, block) if by_column else Block(part, columns, block)


def in_order(matrix: Any, found: Iterator[Block]) -> Iterator[Block]:
    """Hand blocks on, and tell whoever watches how far they are through ``matrix``."""
    n_rows, n_columns = matrix.shape
    if is_column_compressed(matrix):
        return counted(((one.features.stop, one) for one in found), n_columns, "genes")
    return counted(((one.rows.stop, one) for one in found), n_rows)


def is_dask(matrix: Any) -> bool:
    """Whether ``matrix`` is a dask array, or a view of one (dask is never imported to ask)."""
    return any(kind.__module__.partition(".")[0] == "dask" for kind in type(matrix).__mro__)


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

    Of column-compressed storage in a file the first columns are enough where they are integers
    (one read of the file in all); else its rows cost a reading of their own.
    """
    n_rows = matrix.shape[0]
    if is_dask(matrix):
        from scifn._matrix import _dask

        return _dask.first_rows(matrix, n)
    starts = np.unique(np.linspace(0, max(n_rows - 1, 0), min(n, n_rows)).astype(np.int64))
    if is_column_compressed(matrix) and not sp.issparse(matrix):
        return _backed_csc_rows(matrix, starts)
    if getattr(matrix, "format", None) == "csr" and sp.issparse(matrix):
        return as_csr(_picked(matrix, starts))
    if sp.issparse(matrix) or isinstance(matrix, np.ndarray):
        matrix = matrix.tocsr() if getattr(matrix, "format", "csr") == "coo" else matrix
        return as_csr(matrix[starts])
    if n_rows <= n:
        return as_csr(matrix[:])
    # from a file, eight runs of rows are read rather than n scattered ones
    runs = [slice(int(s), int(min(s + n // 8 + 1, n_rows))) for s in starts[:: max(1, n // 8)]]
    return sp.vstack([as_csr(matrix[run.start : run.stop]) for run in runs], format="csr")


def _picked(matrix: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of a CSR matrix; scipy may convert all of its indices to pick a few."""
    begin, end = matrix.indptr[rows].astype(np.int64), matrix.indptr[rows + 1].astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(end - begin)])
    at = np.arange(ends[-1]) + np.repeat(begin - ends[:-1], end - begin)
    parts = (matrix.data[at], matrix.indices[at], ends)
    return sp.csr_array(parts, shape=(rows.size, matrix.shape[1]))


def _backed_csc_rows(matrix: Any, rows: NDArray[np.int64]) -> Any:
    first = as_csr(matrix[:, : min(matrix.shape[1], _FIRST_COLUMNS)])
    if (first.data != 0).any() and (first.data == np.floor(first.data)).all():
        return first
    return sp.hstack([block.matrix[rows] for block in file_blocks(matrix)], format="csr")
