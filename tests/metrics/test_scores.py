"""Scores against scikit-learn, loops and published examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.errors import LabelError
from napari_hsi_ssl.metrics.scores import agreement, average_accuracy, confusion, kappa, mcnemar, overall_accuracy, report, wilson_interval

# The table that Congalton (1991, doi:10.1016/0034-4257(91)90048-B) is known for: rows are the map, columns the reference.
CONGALTON = np.array([[65, 4, 22, 24], [6, 81, 5, 8], [0, 11, 85, 19], [4, 7, 3, 90]])


def pixels(matrix):
    """Return truth and map with the given counts (map by truth), numbered 1, 2, …."""
    found, true = np.indices(matrix.shape)
    counts = matrix.ravel()
    return np.repeat(true.ravel() + 1, counts), np.repeat(found.ravel() + 1, counts)


def test_congaltons_table():
    """The figures of the paper: OA 74 %, kappa 0.65; deciduous producer's 87 %, user's 57 %."""
    truth, found = pixels(CONGALTON)
    result = report(truth, found, Classes.of([1, 2, 3, 4], {1: "deciduous"}))
    assert result["n"] == 434
    assert result["oa"] == pytest.approx(321 / 434)
    assert result["kappa"] == pytest.approx(0.65, abs=0.005)
    assert result["per_class"]["1"]["name"] == "deciduous"
    assert result["per_class"]["1"]["accuracy"] == pytest.approx(65 / 75)
    assert result["per_class"]["1"]["precision"] == pytest.approx(65 / 115)
    assert result["confusion"] == CONGALTON.T.tolist(), "rows must be the truth"


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), classes=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_figures_follow_from_their_definitions(n, classes, seed):
    generator = np.random.default_rng(seed)
    truth, found = generator.integers(0, classes + 1, (2, n))
    truth[0] = 1
    keep = truth != 0
    oa = np.mean([t == p for t, p in zip(truth[keep], found[keep], strict=True)])
    aa = np.mean([np.mean(found[truth == c] == c) for c in np.unique(truth[keep])])
    assert overall_accuracy(truth, found) == pytest.approx(oa)
    assert average_accuracy(truth, found) == pytest.approx(aa)
    result = report(truth, found, Classes.of(range(1, classes + 1)))
    assert (result["oa"], result["aa"], result["n"]) == (pytest.approx(oa), pytest.approx(aa), int(keep.sum()))
    matrix = np.array(result["confusion"])
    for row, number in enumerate(result["numbers"]):
        for column, other in enumerate(result["numbers"]):
            assert matrix[row, column] == ((truth == number) & (found == other) & keep).sum()
    assert result["oa_interval"][0] <= oa <= result["oa_interval"][1]
    if len(result["numbers"]) > 1:
        assert kappa(truth, found) == pytest.approx(cohen_kappa_score(truth[keep], found[keep]))
    if len(result["numbers"]) > 1 and set(found[keep]) <= set(truth[keep]):
        assert average_accuracy(truth, found) == pytest.approx(balanced_accuracy_score(truth[keep], found[keep]))


def test_confusion_keeps_the_order_of_the_numbers():
    np.testing.assert_array_equal(confusion([5, 2, 2, 9], [2, 2, 9, 9], [9, 2, 5]), [[1, 0, 0], [1, 1, 0], [0, 1, 0]])


def test_pixels_without_a_class_count_as_wrong():
    """A map that leaves the hard pixels blank must not look better for it."""
    truth, found = np.array([[1, 1, 2, 0]]), np.array([[1, 0, 2, 2]])
    result = report(truth, found, Classes.of([1, 2]))
    assert result["oa"] == pytest.approx(2 / 3)
    assert result["numbers"] == [0, 1, 2]
    assert result["names"][0] == "not classified"
    assert result["not_classified"] == 1
    assert set(result["per_class"]) == {"1", "2"}
    assert result["per_class"]["1"]["accuracy"] == 0.5
    with pytest.raises(LabelError, match="class 0 is not among the classes"):
        confusion(truth, found, [1, 2])


def test_a_class_of_the_map_alone_is_in_the_confusion_and_does_not_enter_aa():
    result = report([1, 1, 2, 2], [1, 3, 2, 2], Classes.of([1, 2, 3, 4]))
    assert set(result["per_class"]) == {"1", "2"}
    assert result["confusion"] == [[1, 0, 1], [0, 2, 0], [0, 0, 0]]
    assert result["aa"] == pytest.approx(0.75)
    assert result["numbers"] == [1, 2, 3]


def test_one_class_has_no_kappa():
    assert np.isnan(kappa([1, 1], [1, 1]))
    assert kappa([1, 1], [1, 2]) == 0


@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        ([0, 0], [1, 1], "^the labels hold no labelled pixel"),
        ([1, 2], [1, 2, 3], r"shape \(3,\) and the labels \(2,\)"),
        ([1.0, np.nan], [1, 1], "^the labels hold NaN"),
        ([1.0, 1.5], [1, 1], r"fractions such as 1\.5"),
        (["a", "b"], [1, 1], "expected class numbers"),
    ],
)
def test_bad_labels_are_named(truth, found, words):
    with pytest.raises(LabelError, match=words):
        overall_accuracy(truth, found)


def test_wilson_interval_of_a_known_case():
    """Newcombe (1998, Stat. Med. 17:857) gives 81 of 263: 0.2553 to 0.3662; and 0 of 20: 0 to 0.1611."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_mcnemar_exact_equals_the_sum_of_the_binomial():
    truth = np.ones(30, dtype=int)
    a, b = truth.copy(), truth.copy()
    a[:3], b[3:15] = 2, 2  # 12 right in a alone, 3 in b alone
    result = mcnemar(a, b, truth)
    assert (result["only_a"], result["only_b"], result["n"], result["statistic"], result["test"]) == (12, 3, 30, None, "exact")
    assert result["p"] == pytest.approx(2 * (1 + 15 + 105 + 455) / 2**15)


def test_mcnemar_of_many_pixels_is_edwards_chi_square():
    """Agresti's approval ratings (Categorical Data Analysis, 10.1): 150 and 86 discordant; uncorrected 17.36, corrected 16.82."""
    truth = np.ones(1600, dtype=int)
    a, b = truth.copy(), truth.copy()
    a[:150], b[150:236] = 2, 2
    result = mcnemar(a, b, truth)
    assert result["statistic"] == pytest.approx((64 - 1) ** 2 / 236)
    assert result["p"] == pytest.approx(4.1e-5, abs=1e-6)
    assert result["p"] == mcnemar(b, a, truth)["p"]


@pytest.mark.parametrize(("only_a", "only_b", "test"), [(12, 12, "exact"), (13, 12, "chi-square"), (14, 14, "chi-square")])
def test_from_25_discordant_pixels_on_the_test_is_chi_square(only_a, only_b, test):
    """As many on either side are no evidence, and the correction must not make them some."""
    truth = np.ones(40, dtype=int)
    a, b = truth.copy(), truth.copy()
    b[:only_a], a[only_a : only_a + only_b] = 2, 2
    result = mcnemar(a, b, truth)
    assert (result["test"], result["only_a"], result["only_b"], result["n"]) == (test, only_a, only_b, 40)
    assert result["p"] == 1.0
    assert result["statistic"] == (0 if test == "chi-square" else None)


def test_equal_maps_do_not_differ():
    assert mcnemar([1, 2], [1, 2], [1, 1])["p"] == 1.0


def test_agreement_leaves_out_what_one_map_does_not_classify():
    assert agreement([[1, 2, 0, 3]], [[1, 1, 1, 0]]) == {"agreement": 0.5, "kappa": 0.0, "n": 2}
    with pytest.raises(LabelError, match=r"^the two maps have no classified pixel in common"):
        agreement([1, 0], [0, 1])


def test_a_report_has_all_its_figures():
    """A class that is never predicted has no precision, and one without a name is called by its number."""
    result = report([1, 1, 2, 0, 3], [1, 2, 2, 2, 1], Classes.of([1, 2], {1: "corn", 2: "oats"}))
    assert result["names"] == ["corn", "oats", "class 3"]
    assert result["per_class"]["1"] == {"name": "corn", "n": 2, "accuracy": 0.5, "precision": 0.5, "f1": 0.5}
    assert result["per_class"]["2"] == {"name": "oats", "n": 1, "accuracy": 1.0, "precision": 0.5, "f1": pytest.approx(2 / 3)}
    assert result["per_class"]["3"] == {"name": "class 3", "n": 1, "accuracy": 0.0, "precision": None, "f1": 0.0}
    assert (result["oa"], result["aa"], result["kappa"]) == (0.5, 0.5, pytest.approx(kappa([1, 1, 2, 3], [1, 2, 2, 1])))
    assert result["oa_interval"] == list(wilson_interval(2, 4))
    assert result["not_classified"] == 0
    assert confusion([1, 2], [1, 1], [1, 2]).dtype == np.int64
