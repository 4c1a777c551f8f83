"""The preview of a cut: what it counts is what the cut gives, and the heat over the image is what a plain loop gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.patches.index import TEST, TRAIN, PatchSource, build_index
from napari_hsi_ssl.patches.preview import count_windows, examples, fill, patches_over_pixels, preview, share_over_pixels


def source(name, domain, height=40, width=48, seed=0, density=0.7):
    return PatchSource(name, domain, np.random.default_rng(seed).random((height, width)) < density)


SOURCES = [source("a", "wood"), source("b", "wood", seed=1), source("c", "stone", 64, 64, seed=2), source("d", "stone", 6, 60, seed=3)]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 12), stride=st.integers(0, 6),
    coverage=st.floats(0, 1), density=st.floats(0, 1), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_windows_and_heat_are_those_of_a_plain_loop(height, width, size, stride, coverage, density, seed):
    """A wrong count would blame the coverage for what the frame does, or the other way round."""
    mask = np.random.default_rng(seed).random((height, width)) < density
    config = PatchConfig(size=size, stride=stride, coverage=coverage)
    total = empty = enough = 0
    shares: dict[tuple[int, int], list[float]] = {}
    for y in range(0, height - size + 1, config.step):
        for x in range(0, width - size + 1, config.step):
            count = int(mask[y : y + size, x : x + size].sum())
            total, empty, enough = total + 1, empty + (count == 0), enough + (count >= max(1, coverage * size * size - 1e-6))
            for place in np.ndindex(size, size):
                shares.setdefault((y + place[0], x + place[1]), []).append(count / size**2)
    found = count_windows(mask, config)
    assert (found.total, found.empty, found.enough) == (total, empty, enough)
    assert found.too_little == total - empty - enough
    heat = share_over_pixels(mask, config)
    for place in np.ndindex(height, width):
        assert heat[place] == pytest.approx(np.mean(shares[place]), abs=1e-6) if place in shares else np.isnan(heat[place])


@pytest.mark.parametrize("per_domain", [None, 12])
@pytest.mark.parametrize("split", ["auto", "blocks"])
def test_it_counts_what_the_cut_gives(per_domain, split):
    """Bars that differ from the cut would be worse than none."""
    config = PatchConfig(size=8, coverage=0.3, per_domain=per_domain, split=split, guard=1)
    seen = preview(SOURCES, config)
    index, left_out = build_index(SOURCES, config)
    assert seen.after == index.counts()
    assert seen.left_out == left_out == {"d": left_out["d"]}
    assert seen.index is not None
    assert seen.index.digest == index.digest
    whole = build_index(SOURCES, config.model_copy(update={"per_domain": None}))[0]
    assert seen.before == whole.counts()
    report = seen.report()
    assert report["count"] == len(index)
    for domain, counts in report["before"].items():
        cubes = [name for name, of in seen.domains.items() if of == domain and name in whole.cubes]
        assert sum(counts.values()) + report["lost"][domain] == sum(report["windows"][cube]["enough"] for cube in cubes)
        if per_domain is not None:
            assert sum(report["per_domain"][domain].values()) <= per_domain
    assert split != "blocks" or report["lost"]["wood"] > 0


def test_how_often_each_pixel_is_covered():
    index, _ = build_index(SOURCES, PatchConfig(size=8, stride=3, coverage=0.5))
    for cube, of in enumerate(index.cubes):
        shape = next(one.foreground.shape for one in SOURCES if one.name == of)
        slow = np.zeros(shape, dtype=int)
        for row in np.flatnonzero(index.cube == cube):
            slow[index.y[row] : index.y[row] + 8, index.x[row] : index.x[row] + 8] += 1
        np.testing.assert_array_equal(patches_over_pixels(index, of, shape), slow)
    assert not patches_over_pixels(index, "unknown", (5, 5)).any()


def test_the_covered_share_is_of_the_foreground():
    seen = preview([PatchSource("a", "x", np.ones((32, 32), dtype=bool))], PatchConfig(size=16, stride=16, split="blocks", block=16))
    assert seen.covered == {"a": 1.0}


@pytest.mark.parametrize(
    ("sources", "config", "words"),
    [
        ([source("a", "x", density=0)], PatchConfig(size=8), "mask is empty"),
        ([source("a", "x", 5, 5)], PatchConfig(size=8), "smaller than the window"),
        ([source("a", "x", density=0.3)], PatchConfig(size=8, coverage=1.0), "foreground"),
    ],
)
def test_settings_that_give_nothing_are_told_of(sources, config, words):
    """A preview that raised would leave the user with an error for every step of a spin box."""
    seen = preview(sources, config)
    assert seen.index is None
    assert words in seen.left_out["a"]
    assert ("is empty" if "empty" in words else words) in seen.trouble
    assert seen.report()["count"] == 0
    with pytest.raises(ConfigError):
        build_index(sources, config)


def test_examples_show_both_parts_of_every_domain():
    """A sheet of training patches alone would hide a bad test part."""
    index, _ = build_index(SOURCES, PatchConfig(size=8, coverage=0.3))
    chosen = examples(index, 4)
    assert list(chosen) == list(index.domains)
    for number, rows in enumerate(chosen.values()):
        assert set(index.domain[rows]) == {number}
        assert index.split[rows].tolist() == [TRAIN, TRAIN, TEST, TEST]
        assert len(set(rows.tolist())) == 4
    np.testing.assert_array_equal(np.concatenate(list(examples(index, 4).values())), np.concatenate(list(chosen.values())))
    few = index.subset(index.split == TRAIN)
    assert {len(rows) for rows in examples(few, 4).values()} == {4}


@pytest.mark.parametrize("background", ["mean", "zero", "keep"])
def test_the_background_is_filled_as_training_fills_it(background):
    """The sheet must show what the network sees, not what the camera saw."""
    from napari_hsi_ssl.learning.data import fill_background

    generator = np.random.default_rng(0)
    image = generator.normal(size=(8, 9, 3))
    image[0, 0] = np.nan
    area = generator.random((8, 9)) < 0.5
    level = np.nanmean(image[area], axis=0) if background == "mean" else np.zeros(3)
    card = {"input": {"offset": [0.0, 0.0, 0.0], "background": background}}
    np.testing.assert_allclose(fill(image, area, background, level), fill_background(image, card, area))
