"""``--scheduler``: the matrix is read and reduced by the workers of a Dask cluster.

The workers open the file by its path. Whether they can, and whether they run what runs here, is
asked before anything is computed, by functions of the standard library, which every worker has.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scifn import _matrix
from scifn._errors import ArgumentError, ClusterError, InputFileError

if TYPE_CHECKING:
    from anndata import AnnData

#: Seconds that a scheduler has to answer in, and to name a worker.
PATIENCE: Final = 10
LOCAL: Final = "local"
#: Processes a core beyond which a number is taken for a mistake.
MOST_A_CORE: Final = 16
ACCEPTED: Final = (
    "the address of a scheduler, such as tcp://host:8786; the JSON file that it wrote; 'local', or "
    "a number of processes on this machine"
)
#: What must be the same on the workers, and how many parts of the version.
_SAME: Final = {"scifn": 9, "dask": 9, "numpy": 1}
#: What a cluster of ours does without: nobody looks at its samples of what runs.
_NO_SAMPLES: Final = {"distributed.worker.profile.enabled": False}


@contextmanager
def cluster(where: str, path: Path) -> Iterator[None]:
    """Let Dask compute ``where`` it was said, on the file ``path``.

    Nothing that was started is left running.

    Raises
    ------
    ClusterError
        If nobody answers there, or workers cannot do the work.
    InputFileError
        If the workers do not see the file.
    """
    with ExitStack() as closing:
        client = _connected(where, closing)
        # only now: one that never got through must not stay in use
        closing.enter_context(client.as_current())
        _check_versions(client, where)
        _check_file(client, path)
        yield


def check(where: str | None) -> None:
    """Refuse what is no place to compute at, before anything is read.

    Raises
    ------
    ArgumentError
        If ``where`` is nothing that can be asked for, or Dask is not installed.
    """
    if where is None:
        return
    try:
        import distributed  # noqa: F401
    except ImportError:
        msg = "--scheduler needs Dask with its distributed engine: pip install 'scifn[dask]'."
        raise ArgumentError(msg) from None
    number = where.isdigit() and int(where) > 0
    if not (where == LOCAL or number or ":" in where or Path(where).is_file()):
        raise ArgumentError(f"--scheduler {where!r}: {ACCEPTED} was needed.")
    if number and int(where) > MOST_A_CORE * _matrix.n_processors():
        msg = (
            f"--scheduler {where}: so many processes are no use on {_matrix.n_processors()} cores. "
            f"Give at most {MOST_A_CORE} a core; or was a port meant, tcp://HOST:{where}?"
        )
        raise ArgumentError(msg)


def words(where: str) -> str:
    """What is done first, for the log."""
    if where == LOCAL or where.isdigit():
        n = _matrix.n_processors() if where == LOCAL else int(where)
        return f"Starting {n} process{'es' * (n > 1)}"
    return f"Connecting to {where}"


def _connected(where: str, closing: ExitStack) -> Any:
    """A client that has a worker."""
    import dask
    from distributed import Client

    # a client that is turned down says so below, in one sentence
    quiet = logging.getLogger("distributed")
    closing.callback(quiet.setLevel, quiet.level)
    quiet.setLevel(logging.CRITICAL)
    closing.enter_context(dask.config.set({"distributed.comm.timeouts.connect": f"{PATIENCE}s"}))
    if where == LOCAL or where.isdigit():
        n = _matrix.n_processors() if where == LOCAL else int(where)
        return closing.enter_context(processes(n))
    to: dict[str, Any] = {"address": where}
    if Path(where).is_file():
        to = {"scheduler_file": where}
    try:
        client = Client(**to, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError) as error:
        msg = (
            f"--scheduler {where}: nobody answers there within {PATIENCE} s. Start one with 'dask "
            "scheduler', and workers with 'dask worker ADDRESS', or give 'local'."
        )
        raise ClusterError(msg) from error
    except ValueError as error:
        msg = f"--scheduler {where!r}: {ACCEPTED} was needed ({error})."
        raise ArgumentError(msg) from error
    except Exception as error:  # whatever the bytes of another protocol lead to
        msg = (
            f"--scheduler {where}: what answers there is no Dask scheduler of this version "
            f"({type(error).__name__}). Give the address that 'dask scheduler' prints (not that of "
            "its dashboard)."
        )
        raise ClusterError(msg) from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        msg = (
            f"--scheduler {where}: the scheduler has no worker. Start some with "
            f"'dask worker {client.scheduler.address}' and run again."
        )
        client.close()
        raise ClusterError(msg) from error
    return closing.enter_context(client)


@contextmanager
def processes(n: int) -> Iterator[Any]:
    """Client of ``n`` processes on this machine, one core each, which it asks for results itself.

    Elsewhere a scheduler hands them on, as the workers may be out of reach.
    """
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set(_NO_SAMPLES),
        LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        ) as here,
        Client(here, set_as_default=False, direct_to_workers=True) as client,
    ):  # fmt: skip
        yield client


def _ask(
    client: Any, function: Callable[..., Any], *args: Any, scheduler: bool = False
) -> dict[str, Any]:
    """What ``function`` returns, or the error that it raises, on each worker."""
    found: dict[str, Any] = {}
    if scheduler:
        try:
            found["The scheduler"] = client.run_on_scheduler(function, *args)
        except Exception as error:
            found["The scheduler"] = error
    found |= client.run(function, *args, on_error="return")
    return found


def _check_versions(client: Any, where: str) -> None:
    """Refuse a cluster that cannot run what is sent to it: the scheduler unpacks it as well."""
    asked: dict[str, tuple[int, Callable[..., str], tuple[str, ...]]] = {
        "Python": (2, platform.python_version, ()),
        **{name: (parts, metadata.version, (name,)) for name, parts in _SAME.items()},
    }
    wrong: dict[str, list[str]] = {}
    for name, (parts, function, args) in asked.items():
        needed = _start(function(*args), parts)
        for process, version in _ask(client, function, *args, scheduler=True).items():
            if isinstance(version, Exception) or _start(version, parts) != needed:
                said = "none" if isinstance(version, Exception) else version
                wrong.setdefault(process, []).append(f"{name} {said} (needed: {needed})")
    if wrong:
        process, found = next(iter(wrong.items()))
        more = f" So do {len(wrong) - 1} more." if len(wrong) > 1 else ""
        msg = (
            f"--scheduler {where}: what runs there is not the same as here. {process}: "
            f"{', '.join(found)}.{more} Start scheduler and workers from the same environment: "
            f"Python {_start(platform.python_version(), 2)} with pip install "
            f"'scifn[dask]=={metadata.version('scifn')}' 'dask=={metadata.version('dask')}'."
        )
        raise ClusterError(msg)


def _start(version: str, parts: int) -> str:
    return ".".join(version.split(".")[:parts])


def _check_file(client: Any, path: Path) -> None:
    """Refuse a file that the workers do not have, or have another one of that name."""
    where = os.path.abspath(path)
    ours = os.path.getsize(where) if os.path.isfile(where) else None
    ask = os.path.isdir if ours is None else os.path.getsize
    theirs = _ask(client, ask, where)
    blind = [
        worker for worker, found in theirs.items() if found != (True if ours is None else ours)
    ]
    if blind:
        other = isinstance(theirs[blind[0]], int) and ours is not None
        found = "is another file" if other else "is not there"
        msg = (
            f"{where}: {found} for {len(blind)} of {len(theirs)} workers (such as {blind[0]}), "
            "which read the matrix themselves. Put it where all machines see it under the same "
            "path, and name it by that path."
        )
        raise InputFileError(msg)


def spread(adata: AnnData, path: Path) -> AnnData:
    """The same cells with every matrix, left in the file ``path``, as a dask array."""
    import anndata as ad

    from scifn._matrix._files import in_file
    from scifn._matrix._lazy import lazily
    from scifn._matrix._storage import storage_name

    def lazy(matrix: Any) -> Any:
        stored = getattr(matrix, "group", matrix)
        if not in_file(matrix):
            msg = (
                f"{path}: --scheduler needs a matrix that each worker reads its part of, in an "
                f"h5ad file or a zarr store; this one is {storage_name(matrix)}. Save it "
                "as h5ad first, or leave --scheduler out."
            )
            raise InputFileError(msg)
        return lazily(path, stored.name.strip("/"))

    raw = adata.raw
    return ad.AnnData(
        X=None if adata.X is None else lazy(adata.X),
        obs=adata.obs, var=adata.var, uns=adata.uns, obsm=dict(adata.obsm),
        # newer releases of anndata keep X among the layers, under None
        layers={name: lazy(one) for name, one in adata.layers.items() if name is not None},
        raw=None if raw is None else {"X": lazy(raw.X), "var": raw.var},
    )  # fmt: skip
