"""Copies in band order: the same values, named by what they were made from, bounded, and never in the way."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.cubes import browsing
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.progress import run

SHAPE = (30, 20, 12)


def write(path, layout, seed=0):
    values = np.random.default_rng(seed).integers(0, 4000, SHAPE).astype("<u2")
    values.transpose({"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[layout]).tofile(path.with_suffix(".img"))
    path.write_text(
        f"ENVI\nsamples = {SHAPE[1]}\nlines = {SHAPE[0]}\nbands = {SHAPE[2]}\nheader offset = 0\ndata type = 12\nbyte order = 0\ninterleave = {layout}\n"
    )
    return read_cube(path), values


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv(browsing.FOLDER_VARIABLE, str(tmp_path / "browsing"))
    monkeypatch.setattr(browsing, "_LEAST_BYTES", 0)
    monkeypatch.setattr(browsing, "_SPARE_BYTES", 0)
    return tmp_path / "browsing"


@pytest.mark.parametrize("layout", ["bil", "bip"])
@pytest.mark.parametrize("step", [1, 3])
def test_the_copy_holds_the_values(tmp_path, layout, step):
    cube, values = write(tmp_path / "a.hdr", layout)
    assert browsing.worthwhile(cube)
    assert browsing.open_copy(cube, np.dtype("u2"), step) is None
    made = run(browsing.make_copy(cube, np.dtype("u2"), step))
    np.testing.assert_array_equal(made, values[::step, ::step].transpose(2, 0, 1))
    np.testing.assert_array_equal(browsing.open_copy(cube, np.dtype("u2"), step), made)


def test_a_changed_file_has_another_copy(tmp_path):
    cube, _ = write(tmp_path / "a.hdr", "bip")
    run(browsing.make_copy(cube, np.dtype("u2")))
    changed, values = write(tmp_path / "a.hdr", "bip", seed=1)
    assert browsing.open_copy(changed, np.dtype("u2")) is None
    np.testing.assert_array_equal(run(browsing.make_copy(changed, np.dtype("u2"))), values.transpose(2, 0, 1))


def test_band_sequential_files_need_none(tmp_path):
    assert not browsing.worthwhile(write(tmp_path / "a.hdr", "bsq")[0])


def test_old_copies_make_room_and_all_can_be_cleared(tmp_path, monkeypatch, place):
    size = int(np.prod(SHAPE)) * 2
    monkeypatch.setenv(browsing.SIZE_VARIABLE, str(2.5 * size / 2**30))
    for number in range(3):
        run(browsing.make_copy(write(tmp_path / f"{number}.hdr", "bip", number)[0], np.dtype("u2")))
    assert browsing.kept() == (2, 2 * size)
    assert browsing.open_copy(read_cube(tmp_path / "0.hdr"), np.dtype("u2")) is None
    assert browsing.clear() == 2 * size
    assert list(place.iterdir()) == []


def test_no_copy_where_the_disk_is_short_or_none_is_wanted(tmp_path, monkeypatch):
    cube, _ = write(tmp_path / "a.hdr", "bip")
    monkeypatch.setattr(browsing, "_SPARE_BYTES", 2**60)
    assert run(browsing.make_copy(cube, np.dtype("u2"))) is None
    monkeypatch.setenv(browsing.FOLDER_VARIABLE, "off")
    assert run(browsing.make_copy(cube, np.dtype("u2"))) is None
    assert browsing.kept() == (0, 0)


def test_a_copy_that_was_broken_off_leaves_nothing(tmp_path, place):
    cube, _ = write(tmp_path / "a.hdr", "bip")
    making = browsing.make_copy(cube, np.dtype("u2"))
    next(making)
    making.close()
    assert list(place.iterdir()) == []
