"""What the exits say of a cube: each for itself, together, and leaving early."""

import numpy as np
import pytest

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.mapping.embed import predict_cube
from napari_hsi_ssl.mapping.exits import exits_probabilities
from napari_hsi_ssl.progress import run
from tests.mapping.test_embed import card, scene

FLAT = TrunkConfig(widths=(8, 12, 16), stem_stride=1, stride=1, pool="centre")
STRIDED = TrunkConfig(widths=(8, 12), pool="centre")


def network(trunk=FLAT, window=7, seed=1):
    made = card(trunk, window, "distil")
    return build_model(made, seed).eval(), made


@pytest.mark.parametrize("method", ["dense", "windows"])
def test_each_exit_says_what_it_says_when_it_is_asked_alone(method):
    model, made = network()
    scores, area = scene(23, 18)
    found = run(exits_probabilities(model, made, scores, area, method=method))
    assert found.shape == (3, 23, 18, 3)
    for leave in range(3):
        alone = run(predict_cube(model, made, scores, area, leave=leave, method=method))
        np.testing.assert_allclose(found[leave], alone, rtol=1e-5, atol=1e-6)
    assert np.isnan(found[:, ~area]).all()


def test_the_exits_of_a_strided_trunk_are_asked_by_windows():
    model, made = network(STRIDED)
    scores, area = scene(11, 9)
    found, expected = (run(exits_probabilities(model, made, scores, area, method=method)) for method in (None, "windows"))
    np.testing.assert_array_equal(found, expected)


def test_an_area_of_another_shape_is_one_sentence():
    model, made = network()
    scores, area = scene()
    with pytest.raises(RunError, match="mask has shape"):
        run(exits_probabilities(model, made, scores, area[1:]))
