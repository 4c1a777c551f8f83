"""A few pixels looked at are those of the whole embedding, whatever lies around them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.mapping import embed
from napari_hsi_ssl.mapping.glance import grid, pixel_features
from napari_hsi_ssl.progress import run
from tests.mapping.test_embed import CHANNELS, TRUNKS, card, scene


@pytest.mark.parametrize("window", [5, 8])
@pytest.mark.parametrize("background", ["mean", "keep", "zero"])
def test_the_features_of_some_pixels_are_those_of_all(window, background):
    made = card(TRUNKS["strided"], window, background=background)
    model = build_model(made, 1).eval()
    scores, area = scene()
    whole = run(embed.embed_cube(model, made, scores, area, method="windows", precision="32"))
    chosen = np.zeros_like(area)
    chosen[[0, 0, 3, 9, 18, 18], [0, 13, 4, 7, 0, 13]] = True
    found = run(pixel_features(model, made, scores, area, chosen))
    wanted = whole[chosen].astype(np.float32)
    inside = area[chosen] & np.isfinite(wanted).all(axis=1)
    assert inside.sum() >= 3
    np.testing.assert_allclose(found[inside], wanted[inside], rtol=2e-3, atol=2e-3)
    assert np.isnan(found[list(zip(*np.nonzero(chosen), strict=True)).index((3, 4))]).all()


def test_another_number_of_channels_is_refused():
    made = card(TRUNKS["one"], 5, channels=CHANNELS - 1)
    with pytest.raises(RunError, match=r"has 4 channels, but the model was made for 3"):
        run(pixel_features(build_model(made, 1).eval(), made, *scene(), scene()[1]))


def test_the_grid_has_about_as_many_pixels_as_were_asked_for():
    area = np.zeros((200, 300), dtype=bool)
    area[50:, :250] = True
    stride, chosen = grid(area, 400)
    assert stride == 10
    assert chosen.sum() == 15 * 25
    assert not (chosen & ~area).any()
    assert grid(area, 10**9) == (1, pytest.approx(area))
