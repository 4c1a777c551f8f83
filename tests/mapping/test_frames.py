"""Parts of a cube are what the whole of it is there, and tiles cover it once within their memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.config import DomainInput, TrunkConfig
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.data import prepare_inputs
from napari_hsi_ssl.learning.inlets import described, inlet_scores
from napari_hsi_ssl.mapping.frames import Frame, Margin, ThroughInlet, grid

CARD = {"channels": 3, "input": {"source": "pcs", "offset": [0.1, 0.0, 0.2], "gain": [1.0, 0.5, 0.3], "background": "mean"}}


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 30), width=st.integers(1, 30), seed=st.integers(0, 99), before=st.integers(0, 40), after=st.integers(0, 40),
    background=st.sampled_from(["mean", "keep", "zero"]), data=st.data(),
)  # fmt: skip
def test_a_part_is_cut_out_of_the_mirrored_whole(height, width, seed, before, after, background, data):
    draws = np.random.default_rng(seed)
    scores = draws.normal(size=(height, width, 3)).astype(np.float16)
    scores[draws.random((height, width)) < 0.1] = np.nan
    area = draws.random((height, width)) < 0.8
    card = {**CARD, "input": {**CARD["input"], "background": background}}
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    tile = slice(y, data.draw(st.integers(y + 1, height))), slice(x, data.draw(st.integers(x + 1, width)))
    part = Frame(scores, card, area).part(tile, Margin(before, after))
    whole = np.pad(prepare_inputs(scores, card, area), [(before, after), (before, after), (0, 0)], mode="reflect")
    np.testing.assert_array_equal(part.values, whole[y : tile[0].stop + before + after, x : tile[1].stop + before + after])
    np.testing.assert_array_equal(part.used, (area & np.isfinite(scores).all(-1))[tile])


@settings(max_examples=100, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), step=st.sampled_from([1, 2, 8]), margin=st.integers(0, 20), room=st.integers(1, 9000))
def test_tiles_cover_the_cube_once_within_their_memory(height, width, step, margin, room):
    surroundings = Margin(margin, margin + 1)
    try:
        tiles = grid((height, width), room * 10, 10, surroundings, step)
    except ConfigError:
        assert (step + surroundings.both) ** 2 > room
        return
    seen = np.zeros((height, width), dtype=int)
    for rows, columns in tiles:
        seen[rows, columns] += 1
        assert rows.start % step == columns.start % step == 0
        assert (rows.stop - rows.start + surroundings.both) * (columns.stop - columns.start + surroundings.both) <= room
    assert (seen == 1).all()


def test_a_wide_cube_is_divided_in_both_directions():
    """Strips of the whole width would be mostly surroundings, or not fit at all."""
    tiles = grid((4000, 5000), 200**2, 1, Margin(20, 20), 1)
    assert max(columns.stop - columns.start for _, columns in tiles) < 400
    read = sum((rows.stop - rows.start + 40) * (columns.stop - columns.start + 40) for rows, columns in tiles)
    assert read < 1.7 * 4000 * 5000


def test_bands_go_through_their_inlet_where_they_are_asked_for():
    domain = DomainInput(name="cam", bands=6, used=tuple(range(6)))
    trunk = TrunkConfig(widths=(4,), stem_stride=1, stride=1)
    architecture = {"trunk": trunk.model_dump(mode="json"), "projection": 4}
    model = build_model({"kind": "pretrain", "channels": 3, "architecture": architecture, "inlets": described([domain])}, 0).eval()
    bands = np.random.default_rng(0).normal(size=(9, 7, 6)).astype(np.float32)
    lazy = ThroughInlet(model, "cam", bands)
    whole = inlet_scores(model, "cam", bands)
    assert lazy.shape == whole.shape == (9, 7, 3)
    np.testing.assert_allclose(lazy[2:5], whole[2:5], rtol=1e-6)
    np.testing.assert_allclose(lazy[1:4, 2:6], whole[1:4, 2:6], rtol=1e-6)
    with pytest.raises(RunError, match="no inlet for domain 'other'"):
        ThroughInlet(model, "other", bands)
