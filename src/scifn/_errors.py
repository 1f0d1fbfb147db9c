"""Every error that scifn raises at a user's mistake.

Each is also the builtin that a caller expects, so ``except ValueError`` keeps
working in code that does not know scifn::

    ScifnError
    ├── MissingKeyError    (KeyError)      a column, layer, modality or earlier step is not there
    ├── OverwriteError     (ValueError)    output of an earlier call is in the way
    ├── MatrixError        (ValueError)    the matrix cannot be read as expression
    │   ├── ScaleError                     counts were needed, something else was found
    │   └── GenesError                     identifiers could not be understood
    ├── CoverageError      (ValueError)    too few of a set's genes are measured
    ├── DesignError        (ValueError)    the donors cannot answer the question asked
    ├── ArgumentError      (ValueError)    an argument has no such value
    ├── InputFileError     (ValueError)    a file is missing, or is not what its name says
    └── ClusterError       (RuntimeError)  a Dask cluster is not there, or cannot do the work

A message says what was found, what was needed and what to do.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ClusterError",
    "CoverageError",
    "DesignError",
    "GenesError",
    "InputFileError",
    "MatrixError",
    "MissingKeyError",
    "OverwriteError",
    "ScaleError",
    "ScifnError",
]


class ScifnError(Exception):
    """Base of all errors that name a mistake in the input."""


class MissingKeyError(ScifnError, KeyError):
    """A column, layer, modality or the output of an earlier step is not there."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would quote our sentences.
        return str(self.args[0]) if self.args else ""


class OverwriteError(ScifnError, ValueError):
    """Output of an earlier call is in the way and ``overwrite`` is False."""


class MatrixError(ScifnError, ValueError):
    """The matrix cannot be read as gene expression."""


class ScaleError(MatrixError):
    """Counts were needed and the matrix holds something else."""


class GenesError(MatrixError):
    """The identifiers of the features could not be understood."""


class CoverageError(ScifnError, ValueError):
    """Too few genes of a set are among the features."""


class DesignError(ScifnError, ValueError):
    """The donors, conditions or covariates cannot answer the question asked."""


class ArgumentError(ScifnError, ValueError):
    """An argument has a value that the function does not know."""


class InputFileError(ScifnError, ValueError):
    """A file is missing, or is not what its name says."""


class ClusterError(ScifnError, RuntimeError):
    """A Dask cluster is not there, is of other versions, or was lost."""
