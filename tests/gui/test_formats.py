"""Stores and folders of bands in the window: dropped on napari, and cubes written as them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.cube_writers import write_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.gui.contributions import get_reader
from napari_hsi_ssl.gui.forms.cubes import QFileDialog
from napari_hsi_ssl.gui.workbench import open_workbench

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


@pytest.mark.parametrize(
    ("typed", "kind", "written"),
    [("out.tif", "GeoTIFF (*.tif)", "out.tif"), ("out", "Zarr (*.zarr)", "out.zarr"), ("proposed", "Zarr (*.zarr)", "beans.zarr"), ("a.b", "", "a.b.hdr")],
)
def test_a_cube_is_exported_under_the_name_and_kind_that_were_chosen(viewer, qtbot, project, tmp_path, monkeypatch, typed, kind, written):
    """Else the export of the window would write another format than the one chosen, or nothing."""
    asked = []

    def choose(_parent, title, proposed, kinds):
        asked.append((title, proposed, kinds))
        return str(proposed if typed == "proposed" else tmp_path / "exports" / typed), kind

    monkeypatch.setattr(QFileDialog, "getSaveFileName", staticmethod(choose))
    bench = open_workbench(viewer, explorer=False)
    form = bench.forms["cubes"]
    bench.desk.open_project(project)
    bench.open("cubes")
    (tmp_path / "exports").mkdir()
    form.memory.used("exports", tmp_path / "exports" / "earlier.tif")
    qtbot.waitUntil(form.export.isEnabled, timeout=10_000)
    form.export.click()
    to = tmp_path / "exports" / written
    qtbot.waitUntil(lambda: form.words.text() == f"{to} is written.", timeout=30_000)
    assert asked[0][0] == "Export beans"
    assert asked[0][1] == str(tmp_path / "exports" / "beans.hdr")
    assert asked[0][2].count(";;") == 2
    assert np.array_equal(np.asarray(read_cube(to).data), np.asarray(project.cube("beans").data))
    assert form.done.command.endswith(f"--to {to}")
