"""What dask has computed, chunk by chunk, wherever it computes.

With a ``distributed.Client`` in use that is a cluster, whose results are handed over as they come;
else threads of this process, or what dask was told to use.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from scifn._errors import ClusterError
from scifn._matrix._progress import report

#: Seconds after which a cluster without any worker is given up, and between two looks at it.
GIVE_UP: Final = 60.0
LOOK: Final = 5.0


class Told:
    """Cells that are done, told to who watches as chunks of them are."""

    def __init__(self, matrix: Any) -> None:
        self._rows = matrix.chunks[0]
        self._n_across = matrix.numblocks[1]
        self._done = 0.0
        report(0, sum(self._rows))

    def __call__(self, place: tuple[int, ...]) -> None:
        # chunks side by side hold the same cells, unless they are worked on together
        self._done += self._rows[place[0]] / (self._n_across if len(place) > 1 else 1)
        report(round(self._done), sum(self._rows))


def results(out: Any, told: Told | None) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Place in the grid and value of each chunk of ``out``, as they are done."""
    client = _client()
    found = _from_cluster(client, out) if client is not None else _computed_here(out, told)
    for place, result in found:
        if told is not None and client is not None:
            told(place)
        yield place, result


def _computed_here(out: Any, told: Told | None) -> Iterator[tuple[tuple[int, ...], Any]]:
    import dask

    lazy = out.to_delayed()
    places = {one.key: place for place, one in zip(np.ndindex(lazy.shape), lazy.flat, strict=True)}

    def after(key: Any, *_: Any) -> None:
        if told is not None and key in places:
            told(places[key])

    with dask.callbacks.Callback(posttask=after):
        done = list(dask.compute(*lazy.flat))
    # each is let go of when it is handed over
    done.reverse()
    for place in places.values():
        yield place, done.pop()


def _client() -> Any:
    """The ``distributed.Client`` that dask would use now; None if it would use none."""
    from dask.base import get_scheduler

    client = getattr(get_scheduler(), "__self__", None)
    return client if hasattr(client, "persist") else None


def _from_cluster(client: Any, out: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    from distributed import KilledWorker, as_completed, futures_of

    waiting = {future.key: future for future in futures_of(client.persist(out))}
    done = as_completed(list(waiting.values()), with_results=True)
    try:
        while waiting:
            _wait(client, done)
            future, result = next(done)
            del waiting[future.key]
            yield tuple(future.key[1:]), result
    except KilledWorker as error:
        msg = (
            "several workers of the Dask cluster were lost one after another over the same part "
            "of the matrix; mostly they run out of memory. Give each worker more of it, or make "
            "the chunks smaller."
        )
        raise ClusterError(msg) from error
    finally:
        if waiting:
            client.cancel(list(waiting.values()))


def _wait(client: Any, done: Any) -> None:
    """Wait for the next result, but not forever for a cluster that is gone."""
    start = looked = time.monotonic()
    while not done.has_ready():
        time.sleep(0.005)
        now = time.monotonic()
        if now - looked < LOOK:
            continue
        looked = now
        if client.status != "running":
            raise ClusterError("the scheduler of the Dask cluster is gone. Start it again and run.")
        if client.scheduler_info()["workers"]:
            start = now
        elif now - start > GIVE_UP:
            msg = f"no worker is left in the Dask cluster, for {GIVE_UP:.0f} s. Start some and run."
            raise ClusterError(msg)
