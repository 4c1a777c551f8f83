"""Stores and folders of bands in the window: dropped on napari."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.gui.contributions import get_reader

VALUES = np.random.default_rng(9).random((20, 24, 10)).astype("f4")


def save(path, kind):
    if kind == "zarr":
        write_cube(path.with_suffix(".zarr"), as_cube(VALUES, np.linspace(450, 900, 10), "reflectance"))
        return path.with_suffix(".zarr")
    path.mkdir(parents=True)
    for band in range(10):
        tifffile.imwrite(path / f"band_{450 + 50 * band}nm.tif", VALUES[:, :, band], photometric="minisblack")
    return path


@pytest.mark.parametrize("kind", ["zarr", "bands"])
def test_a_folder_dropped_on_napari_is_a_cube(viewer, tmp_path, kind):
    """Else only files could be dropped."""
    path = save(tmp_path / "raw" / "leaf", kind)
    viewer.open(str(path), plugin="napari-hsi-ssl")
    assert [layer.name for layer in viewer.layers] == ["leaf bands", "leaf RGB"]
    assert viewer.layers[0].data.shape == (10, 20, 24)
    assert np.array_equal(np.asarray(viewer.layers[0].data[3]), VALUES[:, :, 3])
    assert get_reader(str(tmp_path / "raw")) is None, "a folder of cubes is none itself"
