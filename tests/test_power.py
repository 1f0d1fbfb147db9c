"""What a design can detect: the formulas, the simulation they stand for, and the program."""

from __future__ import annotations

import numpy as np
import pytest

import scifn
from scifn import _keys as k
from scifn._errors import ArgumentError
from scifn._stats import bounds
from scifn._stats import power as model
from scifn.cli import main

DESIGN = {"n_pdc": 100, "producer_fraction": 0.03, "detection": 0.5}


def rows(**changed):
    return scifn.get.power(**{**DESIGN, **changed})


def test_one_umi_or_more_of_m_copies():
    """P(>= 1 UMI) = 1 - (1 - q)^m; at q = 0.07: 7, 30, 77 and about 100 %."""
    found = model.cell_detection([1, 5, 20, 100], 0.07)
    np.testing.assert_allclose(found, 1 - 0.93 ** np.array([1, 5, 20, 100]))
    assert found.round(2).tolist() == [0.07, 0.30, 0.77, 1.00]


def test_bursts_are_harder_to_see_than_their_mean():
    found = model.cell_detection(20, 0.07, burst_size=[0.1, 1.0, 1e9, np.inf])
    assert found[0] == pytest.approx(1 - (1 + 1.4 / 0.1) ** -0.1)
    assert found[1] == pytest.approx(1 - 1 / 2.4)
    assert found[2] == pytest.approx(1 - np.exp(-1.4))
    assert found[3] == pytest.approx(1 - 0.93**20)
    assert (np.diff(found) > 0).all()


def test_nothing_to_see_and_everything_seen():
    assert model.cell_detection([0, 5, 0], [0.5, 1.0, 1.0]).tolist() == [0, 1, 0]
    assert model.at_least_one([0.0, 1.0, 1.0], [50, 1, 0]).tolist() == [0, 1, 0]
    assert model.needed([0.0, 1.0]).tolist() == [np.inf, 1.0]


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.01, [14, 39, 78]), (0.03, [36, 78, 99]), (0.10, [79, 99, 100])],
)
def test_donors_with_a_positive_cell(fraction, expected):
    """1 - (1 - f p)^n at p = 0.5 and 30, 100, 300 pDC, in percent."""
    table = rows(n_pdc=[30, 100, 300], producer_fraction=fraction)
    assert (100 * table["p_donor"]).round().tolist() == expected


def test_cells_and_donors_that_are_needed():
    table = rows(producer_fraction=[0.01, 0.1], n_donors=4)
    assert table["n_pdc_needed"].tolist() == [
        np.ceil(np.log(0.05) / np.log(1 - 0.005)), np.ceil(np.log(0.05) / np.log(0.95)),
    ]  # fmt: skip
    for row in table.itertuples():
        enough = model.at_least_one(row.p_cell, [row.n_pdc_needed - 1, row.n_pdc_needed])
        assert enough[0] < 0.95 <= enough[1]
        donors = model.at_least_one(row.p_donor, [row.n_donors_needed - 1, row.n_donors_needed])
        assert donors[0] < 0.95 <= donors[1]
    first = table.iloc[0]
    assert first["p_any_donor"] == pytest.approx(1 - (1 - first["p_donor"]) ** 4)
    assert first["expected_donors"] == pytest.approx(4 * first["p_donor"])


def test_needed_is_exact_where_a_whole_number_reaches_it():
    assert model.needed(1 - 0.05 ** (1 / 7)) == 7


def test_the_bound_of_none_seen_is_that_of_the_report():
    table = rows(n_pdc=[0, 10, 30, 100, 300])
    np.testing.assert_array_equal(table["upper95"], bounds.zero_bound([0, 10, 30, 100, 300]))
    assert (100 * table["upper95"][1:]).round(1).tolist() == [25.9, 9.5, 3.0, 1.0]
    assert "Without a pDC" in table["statement"][0]
    assert "does not exclude secretion" in table["statement"][1]
    assert "upper bound on detectable producers is 25.9 %" in table["statement"][1]


def test_the_formulas_are_what_a_simulation_gives():
    """20,000 studies: producers among pDC, bursts of transcripts, capture, one UMI or more."""
    rng = np.random.default_rng(5)
    n, donors, fraction, copies, capture, size = 40, 3, 0.04, 12.0, 0.07, 1.5
    shape = (20_000, donors, n)
    made = rng.random(shape) < fraction
    molecules = rng.negative_binomial(size, size / (size + copies), shape) * made
    seen = (rng.binomial(molecules, capture) > 0).sum(axis=2)
    table = rows(
        n_pdc=n, producer_fraction=fraction, n_donors=donors,
        detection={"copies": copies, "capture": capture, "burst_size": size},
    )  # fmt: skip
    positive = seen > 0
    error = 4 * np.sqrt(0.25 / positive.size)
    assert table["p_donor"][0] == pytest.approx(positive.mean(), abs=error)
    assert table["p_cell"][0] == pytest.approx(seen.mean() / n, abs=error / 5)
    assert table["p_any_donor"][0] == pytest.approx(positive.any(axis=1).mean(), abs=2 * error)
    assert table["expected_donors"][0] == pytest.approx(positive.sum(axis=1).mean(), abs=3 * error)


def test_a_row_for_every_combination():
    table = rows(n_pdc=[10, 20], producer_fraction=[0.01, 0.02, 0.03], n_donors=[1, 5])
    assert len(table) == 12
    assert list(table.columns) == list(k.POWER_COLUMNS)
    assert not table.duplicated(["n_pdc", "producer_fraction", "n_donors"]).any()
    assert table["n_pdc"].dtype == table["n_donors"].dtype == np.int64


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"n_pdc": -1}, r"n_pdc=-1: a whole number is needed, 0 or more"),
        ({"n_pdc": 2.5}, r"n_pdc=2.5: a whole number"),
        ({"n_pdc": []}, r"n_pdc=\[\]: a number is needed"),
        ({"n_pdc": "many"}, r"n_pdc='many': a number is needed"),
        ({"n_pdc": np.nan}, r"n_pdc=nan: a whole number"),
        ({"n_donors": 0}, r"n_donors=0: a whole number is needed, 1 or more"),
        ({"producer_fraction": 3}, r"producer_fraction=3: a share is needed, from 0 to 1"),
        ({"producer_fraction": np.nan}, r"producer_fraction=nan: a share"),
        ({"detection": [0.5, -0.1]}, r"detection=-0.1: a share"),
        ({"detection": {"copies": 3}}, r"'copies' and 'capture'"),
        ({"detection": {"copies": -3, "capture": 0.1}}, r"'copies' must be 0 or more"),
        ({"detection": {"copies": 3, "capture": 7}}, r"capture=7: a share"),
    ],
)
def test_arguments_that_are_no_design(wrong, match):
    with pytest.raises(ArgumentError, match=match):
        rows(**wrong)


def program(*args):
    with pytest.raises(SystemExit) as left:
        main(["power", *args])
    return left.value.code or 0


def test_the_program_prints_the_table_and_a_sentence(capsys):
    code = program(
        "--n-pdc", "30", "--n-pdc", "300", "--producer-fraction", "0.01", "--detection", "0.5"
    )
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].split("\t") == list(k.POWER_COLUMNS[:-1])
    assert lines[1].split("\t")[:6] == ["30", "0.01", "0.5", "1", "0.005", "0.1396"]
    assert lines[3].startswith("With 30 pDC, positive cells are seen in 14 % of donors if")
    assert len(lines) == 5


def test_the_program_takes_depth_for_detection(capsys):
    program("--n-pdc", "9", "--producer-fraction", "1", "--detection", "copies=20,capture=0.07")
    assert capsys.readouterr().out.splitlines()[1].split("\t")[2] == "0.7658"


@pytest.mark.parametrize(
    ("given", "match"),
    [("1.5", "detection=1.5: a share"), ("good", "--detection 'good': a number was needed")],
)
def test_the_program_says_what_is_wrong(capsys, given, match):
    assert program("--n-pdc", "9", "--producer-fraction", "0.1", "--detection", given) == 2
    told = capsys.readouterr()
    assert match in told.err
    assert told.out == ""


def test_several_copies_and_bursts_give_a_row_each():
    several = {"copies": [1, 5, 20], "capture": [0.07, 0.1], "burst_size": [1.0, 2.0]}
    table = scifn.get.power(n_pdc=100, producer_fraction=0.05, detection=several)
    assert len(table) == 12
    one = {"copies": 5, "capture": 0.1, "burst_size": 2.0}
    alone = scifn.get.power(n_pdc=100, producer_fraction=0.05, detection=one)
    assert alone["detection"].iloc[0] in set(table["detection"])
