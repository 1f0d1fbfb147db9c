"""Quantiles of the dip of uniform samples, the table in src/scifn/_stats/dip.py.

    python benchmarks/make_dip_quantiles.py [samples of each size, default 20000]

Of all unimodal distributions the uniform has the largest dips, so that its tails bound those of
the others (Hartigan & Hartigan 1985, doi:10.1214/aos/1176346577). What is printed is pasted into
the module.
"""

from __future__ import annotations

import sys

import numpy as np

from scifn._stats.dip import TAILS, dip

SIZES = (30, 50, 100, 200, 500)


def main(samples: int) -> None:
    for size in SIZES:
        rng = np.random.default_rng(size)
        dips = np.array([dip(rng.uniform(size=size)) for _ in range(samples)])
        quantiles = np.quantile(np.sqrt(size) * dips, 1 - np.array(TAILS))
        print(f"    {size}: ({', '.join(f'{q:.4f}' for q in quantiles)}),", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
