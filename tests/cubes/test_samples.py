"""The samples are what they claim to be: real data with the usual class numbers, and a laboratory that is no child's play."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_otsu
from sklearn.neighbors import KNeighborsClassifier

from napari_hsi_ssl import run
from napari_hsi_ssl.config import EvaluateConfig, MaskConfig, PatchConfig, read_json
from napari_hsi_ssl.cubes.cube import Classes, as_cube
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import find_cubes, read_cube
from napari_hsi_ssl.cubes.samples import DOMAINS, INDIAN_PINES_CLASSES, indian_pines, laboratory, laboratory_classes, make_laboratory_cube
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.explore.masks import find_mask

BANDS = {"archaeology": 256, "branches": 160, "coffee": 256, "grapes": 160, "paper": 288, "pottery": 256, "sugar": 256}
# Pixels a class as published with the scene (Baumgardner, Biehl and Landgrebe 2015): a permuted numbering would not fit.
PUBLISHED = dict(
    zip(INDIAN_PINES_CLASSES, (46, 1428, 830, 237, 483, 730, 28, 478, 20, 972, 2455, 593, 205, 1265, 386, 93), strict=True),
)


@pytest.fixture(scope="module")
def pines():
    pytest.importorskip("tensorly")
    return indian_pines()


def test_indian_pines_has_the_usual_class_numbers(pines):
    cube, labels, classes = pines
    assert cube.shape == (145, 145, 200)
    assert cube.dtype == np.uint16
    assert cube.attrs["quantity"] == "dn"
    assert labels.dtype == np.int32
    assert {name: int((labels == number).sum()) for number, name in zip(classes.numbers, classes.names, strict=True)} == PUBLISHED


def test_indian_pines_wavelengths_fit_the_atmosphere(pines):
    """Wrong band centres would put the absorptions of oxygen (761 nm) and carbon dioxide (2008, 2058 nm) elsewhere."""
    cube, _, _ = pines
    centres = cube.coords["wavelength"].values
    mean = cube.values.mean((0, 1))
    for line, reach, tolerance in ((761, 20, 6), (2008, 25, 6), (2060, 25, 6)):
        near = np.abs(centres - line) < reach
        depth = mean[near].max() - mean[near]
        assert (depth**3 * centres[near]).sum() / (depth**3).sum() == pytest.approx(line, abs=tolerance)


def test_indian_pines_bands_are_sorted_and_remember_their_place(pines):
    tensorly = pytest.importorskip("tensorly.datasets")
    cube, _, _ = pines
    assert (np.diff(cube.coords["wavelength"].values) >= 0).all()
    published = np.asarray(tensorly.load_indian_pines()["tensor"])
    np.testing.assert_array_equal(cube.values, published[:, :, cube.coords["source_band"].values])


def test_without_tensorly_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorly.datasets", None)
    with pytest.raises(CubeError, match=r"napari-hsi-ssl\[samples\]"):
        indian_pines()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_laboratory_cube_is_a_cube_with_fitting_truth(domain):
    made = make_laboratory_cube(domain, 1)
    assert made.cube.shape == (128, 128, BANDS[domain])
    assert made.cube.attrs["quantity"] == "reflectance"
    assert as_cube(made.cube).dtype == np.float32
    assert np.isfinite(made.cube.values).all()
    assert -0.1 < made.cube.values.min() < made.cube.values.max() < 2
    np.testing.assert_array_equal(made.mask, made.labels > 0)
    assert set(np.unique(made.labels)) == {0, *made.classes.numbers}, "every material is in every cube of the default size"
    assert 4 <= len(made.class_names) <= 6
    assert 0.4 < made.mask.mean() < 0.8


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(list(DOMAINS)), st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32))
def test_any_size_and_seed_works_and_comes_back_alike(domain, height, width, index, seed):
    first, again = (make_laboratory_cube(domain, index, (height, width), seed) for _ in range(2))
    assert first.cube.shape == (height, width, BANDS[domain])
    np.testing.assert_array_equal(first.cube.values, again.cube.values)
    np.testing.assert_array_equal(first.labels, again.labels)


def test_index_and_seed_change_the_scene_but_not_the_materials():
    first, index, seed = make_laboratory_cube("sugar", 1), make_laboratory_cube("sugar", 2), make_laboratory_cube("sugar", 1, seed=1)
    for other in (index, seed):
        assert (first.labels != other.labels).mean() > 0.2
        assert first.classes == other.classes
        for number in first.classes.numbers:  # the same substance: mean spectra of two scenes agree but for light and chance
            mine, theirs = (cube.cube.values[cube.labels == number].mean(0) for cube in (first, other))
            assert np.corrcoef(np.log(mine), np.log(theirs))[0, 1] > 0.9


def test_no_two_domains_share_a_class_number():
    numbers = [number for domain in DOMAINS for number in laboratory_classes(domain).numbers]
    assert len(numbers) == len(set(numbers))
    assert laboratory_classes().numbers == tuple(sorted(numbers))


@pytest.mark.parametrize("domain", DOMAINS)
def test_materials_are_neither_trivial_nor_hopeless_and_objects_stand_out(domain):
    """Near 100 % for a raw-spectrum kNN on another cube would make every later comparison worthless; near chance as well."""
    train, test = make_laboratory_cube(domain, 1), make_laboratory_cube(domain, 2)
    neighbours = KNeighborsClassifier(5).fit(train.cube.values[train.mask][::4], train.labels[train.mask][::4])
    accuracy = neighbours.score(test.cube.values[test.mask][::4], test.labels[test.mask][::4])
    chance = np.bincount(test.labels[test.mask]).max() / test.mask.sum()
    assert chance + 0.15 < accuracy < 0.95
    brightness = train.cube.values.mean(2)
    found = brightness > threshold_otsu(brightness)
    assert (found & train.mask).sum() / (found | train.mask).sum() > 0.65


@pytest.mark.parametrize("domain", DOMAINS)
def test_one_cube_held_out_is_enough_to_score_its_domain(domain):
    """With fewer than 20 patches by the default mask and window, a domain of the sample would be reported and not scored."""
    for index in (1, 2, 3):
        mask = run(find_mask(make_laboratory_cube(domain, index).cube, MaskConfig()))
        config = PatchConfig()
        share = np.lib.stride_tricks.sliding_window_view(mask, (config.size, config.size))[:: config.step, :: config.step].mean((2, 3))
        assert np.count_nonzero(share >= config.coverage) >= EvaluateConfig().minimum


def test_edges_are_mixed():
    """Without sub-pixel mixing, tray pixels beside an object would be as dark as those far from it."""
    made = make_laboratory_cube("paper", 1)
    bright = made.cube.values.mean(2)
    padded = np.pad(made.mask, 3)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(made.mask, 1), (3, 3)).any((2, 3)) & ~made.mask
    far = ~np.lib.stride_tricks.sliding_window_view(padded, (7, 7)).any((2, 3))
    assert bright[near].mean() > 1.2 * bright[far].mean()


def test_the_laboratory_on_disk_is_the_laboratory_in_memory(tmp_path: Path):
    headers = run(laboratory(tmp_path, size=24, cubes_per_domain=1, seed=5))
    assert [header.relative_to(tmp_path).as_posix() for header in headers] == [f"{domain}/{domain}_1.hdr" for domain in DOMAINS]
    for domain, header in zip(DOMAINS, headers, strict=True):
        made = make_laboratory_cube(domain, 1, 24, 5)
        cube = read_cube(header)
        np.testing.assert_allclose(np.asarray(cube.data), made.cube.values, atol=1e-6)
        np.testing.assert_allclose(cube.coords["wavelength"].values, made.cube.coords["wavelength"].values, atol=1e-3)
        assert cube.attrs["quantity"] == "reflectance"
        labels, names = read_labels(header.with_name(f"{domain}_1_labels.tif"), (24, 24))
        np.testing.assert_array_equal(labels, made.labels)
        assert names == dict(zip(made.classes.numbers, made.classes.names, strict=True))
    found, _ = find_cubes(tmp_path)
    assert sorted(path.stem for path in found) == sorted(f"{domain}_1" for domain in DOMAINS), "labels are not taken for cubes"
    assert Classes.from_json(read_json(tmp_path / "classes.json")) == laboratory_classes()


def test_bad_arguments_are_named(tmp_path: Path):
    with pytest.raises(CubeError, match="'tea' is unknown, expected one of archaeology"):
        make_laboratory_cube("tea")
    with pytest.raises(CubeError, match="size is 0×5"):
        make_laboratory_cube("sugar", size=(0, 5))
    with pytest.raises(ConfigError, match="cubes_per_domain is 0"):
        run(laboratory(tmp_path, cubes_per_domain=0))
