"""Spectra read like an embedding."""

from __future__ import annotations

import numpy as np

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.mapping.raw import Spectra


def cube():
    values = np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3)
    values[2, 1] = -1
    made = as_cube(values, np.array([450.0, 550.0, 650.0]), "dn", "tea", nodata=-1)
    return made.assign_attrs(bad_bands=np.array([0, 1, 0]))


def test_good_bands_of_measured_pixels():
    spectra, data = Spectra(cube()), np.asarray(cube().data)
    assert spectra.shape == (5, 4, 2)
    np.testing.assert_array_equal(spectra[0:2], data[0:2][..., [0, 2]])
    assert np.isnan(spectra[2:3][0, 1]).all()


def test_a_mask_gives_pixels_in_order():
    mask = np.zeros((5, 4), dtype=bool)
    mask[0, 3] = mask[4, 0] = True
    np.testing.assert_array_equal(Spectra(cube())[mask], np.asarray(cube().data)[mask][:, [0, 2]])
