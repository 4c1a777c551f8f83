"""Means, intervals and paired tests over folds and seeds, beside the same worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_hsi_ssl.metrics.repeated import summarise


def results(key, values, seeds=1, **fields):
    """One result a fold and seed: the fold's value, with seeds lying evenly around it."""
    spread = np.linspace(-0.02, 0.02, seeds) if seeds > 1 else [0.0]
    common = {"key": key, "name": key.upper(), "n_train": 100, "n_test": 50, "seconds": 2.0, **fields}
    return [
        {**common, "fold": f"f{fold}", "seed": seed, "oa": value + part, "aa": value / 2 + part, "kappa": value - 0.1}
        for fold, value in enumerate(values)
        for seed, part in enumerate(spread)
    ]


def test_seeds_are_averaged_before_folds_are_compared():
    good, poor = np.array([0.8, 0.7, 0.9, 0.75]), np.array([0.7, 0.72, 0.8, 0.6])
    rows = summarise([*results("good", good, seeds=3), *results("poor", poor)], "good")
    first, second = rows
    assert (first["folds"], first["seeds"], second["seeds"]) == (4, 3, 1)
    assert first["oa"] == pytest.approx(good.mean())
    assert first["difference"] is None
    difference = poor - good
    error = np.sqrt((1 / 4 + 0.5) * difference.var(ddof=1))
    reach = stats.t.ppf(0.975, 3) * error
    assert second["difference"] == pytest.approx(difference.mean())
    assert second["difference_interval"] == pytest.approx([difference.mean() - reach, difference.mean() + reach])
    assert second["p"] == pytest.approx(2 * stats.t.sf(abs(difference.mean()) / error, 3))
    assert second["aa_difference"] == pytest.approx(difference.mean() / 2)
    reach = stats.t.ppf(0.975, 3) * np.sqrt((1 / 4 + 0.5) * poor.var(ddof=1))
    assert second["oa_interval"] == pytest.approx([poor.mean() - reach, poor.mean() + reach])


def test_one_fold_is_compared_over_its_seeds():
    """Training sets are one and the same, so nothing is added for their overlap; a row without draws stands for every seed."""
    rows = summarise([*results("drawn", [0.8], seeds=3), *results("fixed", [0.7])], "drawn")
    values = np.array([0.78, 0.8, 0.82])
    reach = stats.t.ppf(0.975, 2) * values.std(ddof=1) / np.sqrt(3)
    assert rows[0]["oa_interval"] == pytest.approx([0.8 - reach, 0.8 + reach])
    assert rows[1]["oa_interval"] is None
    assert rows[1]["difference"] == pytest.approx(-0.1)
    assert rows[1]["p"] == pytest.approx(2 * stats.t.sf(0.1 / (values.std(ddof=1) / np.sqrt(3)), 2))


def test_a_single_result_has_neither_interval_nor_test():
    rows = summarise([*results("one", [0.8]), *results("other", [0.7])], "one")
    assert [(row["oa_interval"], row["difference"], row["p"]) for row in rows] == [(None, None, None)] * 2


def test_accuracies_do_not_pass_their_bounds_and_missing_folds_are_left_out_of_a_pair():
    rows = summarise([*results("near", [0.99, 1.0, 0.9]), *results("short", [0.5, 0.6])], "near")
    assert rows[0]["oa_interval"][1] == 1.0
    assert rows[1]["difference"] == pytest.approx(np.mean([0.5 - 0.99, 0.6 - 1.0]))


def test_what_a_choice_came_to_is_told_by_fold():
    rows = summarise(results("best", [0.5, 0.6], chosen="svm"), "best")
    assert rows[0]["chosen"] == {"f0": "svm", "f1": "svm"}


def test_intervals_end_where_figures_do():
    rows = summarise(results("poor", [0.01, 0.3, 0.02]), "poor")
    assert rows[0]["oa_interval"][0] == 0.0
    assert rows[0]["aa_interval"][0] == 0.0
    assert rows[0]["kappa_interval"][0] < 0, "kappa may be negative"
    rows = summarise([{**result, "kappa": kappa} for result, kappa in zip(results("worst", [0.5] * 3), (-1.0, -0.5, 0.9), strict=True)], "worst")
    assert rows[0]["kappa_interval"] == [-1.0, 1.0]


def test_a_row_tells_its_name_its_time_and_both_comparisons():
    good, poor = np.array([0.8, 0.7, 0.9]), np.array([0.7, 0.72, 0.8])
    first, second = summarise([*results("good", good, seconds=3.0), *results("poor", poor)], "good")
    assert (first["key"], first["name"], first["seconds"], second["seconds"]) == ("good", "GOOD", 3.0, 2.0)
    assert [first[key] for key in ("difference", "difference_interval", "p", "aa_difference", "aa_difference_interval", "aa_p")] == [None] * 6
    assert second["aa_p"] == pytest.approx(second["p"]), "AA is half of OA here, and so is its error"
    np.testing.assert_allclose(second["aa_difference_interval"], np.array(second["difference_interval"]) / 2)
    assert "chosen" not in first
    (alone,) = summarise(results("poor", poor), "good")
    assert (alone["difference"], alone["p"]) == (None, None), "nothing to compare with"
