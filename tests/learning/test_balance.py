"""Classes of few labels."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from napari_hsi_ssl.learning.balance import balanced_order, class_weights

LABELS = np.repeat([0, 1, 3], [40, 7, 2])


def test_weights_are_scikit_learns_and_a_class_without_labels_has_none():
    found = class_weights(LABELS, 5)
    np.testing.assert_allclose(found[[0, 1, 3]], compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=LABELS))
    assert found[[2, 4]].tolist() == [0, 0]
    assert found[LABELS].mean() == pytest.approx(1)


def test_every_class_is_drawn_as_often_and_none_of_its_labels_is_passed_over():
    for epoch in range(5):
        rows = balanced_order(0, epoch, LABELS)
        assert rows.size == LABELS.size
        counts = np.bincount(LABELS[rows])[[0, 1, 3]]
        assert counts.sum() == 49
        assert counts.min() >= 16
        assert counts.max() <= 17
        for number in (1, 3):  # as often as another label of its class, give or take one
            times = np.bincount(rows, minlength=49)[number == LABELS]
            assert times.min() >= 1
            assert np.ptp(times) <= 1
        assert np.bincount(rows, minlength=49)[LABELS == 0].max() == 1


def test_an_epochs_draws_follow_from_seed_and_epoch_alone():
    np.testing.assert_array_equal(balanced_order(3, 4, LABELS), balanced_order(3, 4, LABELS))
    assert (balanced_order(3, 4, LABELS) != balanced_order(3, 5, LABELS)).any()
    assert (balanced_order(3, 4, LABELS) != balanced_order(4, 4, LABELS)).any()
    order = balanced_order(3, 4, LABELS)
    assert np.ptp([np.mean(np.flatnonzero(LABELS[order] == number)) for number in (0, 1, 3)]) < 15, "classes must be mixed, not one after another"
