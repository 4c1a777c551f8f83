"""What the manifest names is there; that it is valid is checked in `tests/test_packaging.py`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import tifffile
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QWidget
from scipy.io import savemat

from napari_hsi_ssl.gui.contributions import get_reader, sample_indian_pines, sample_laboratory
from tests.gui.conftest import write_cube


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_distribution("napari-hsi-ssl")


def test_it_is_discovered_as_installed():
    """The entry point must lead to the file from an editable install too."""
    manager = PluginManager()
    manager.discover(include_npe1=False)
    assert manager.get_manifest("napari-hsi-ssl").display_name == "Hyperspectral SSL"
    assert [point.value for point in distribution("napari-hsi-ssl").entry_points if point.group == "napari.manifest"] == ["napari_hsi_ssl:napari.yaml"]


def test_every_command_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_workbench_and_six_forms_are_widgets_of_the_menu(manifest):
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    titles = [widget.display_name for widget in manifest.contributions.widgets]
    assert titles == ["HSI workbench", "1 Cubes", "2 Mask and labels", "3 Explore", "4 Patches", "5 Train", "6 Classify"]
    for widget in manifest.contributions.widgets:
        module, name = commands[widget.command].split(":")
        assert issubclass(getattr(import_module(module), name), QWidget)


def test_menu_widget_opens_in_napari(make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-hsi-ssl", "3 Explore")
    assert widget.desk.viewer is viewer


# -- reader -------------------------------------------------------------------------------------------------------------


def test_cube_file_becomes_bands_and_composite(tmp_path):
    path = write_cube(tmp_path / "beans.hdr")
    reader = get_reader(str(path))
    assert reader is not None
    (bands, options, kind), (composite, _, _) = reader(str(path))
    assert kind == "image"
    assert bands.shape == (12, 24, 20)
    assert composite.shape == (24, 20, 3)
    assert options["name"] == "beans bands"
    assert options["metadata"]["hsi_file"] == str(path)


def test_dropped_on_napari_it_is_shown(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    viewer.open(str(write_cube(tmp_path / "beans.hdr")), plugin="napari-hsi-ssl")
    assert [layer.name for layer in viewer.layers] == ["beans bands", "beans RGB"]
    assert viewer.dims.axis_labels[0] == "wavelength"
    bands, composite = viewer.layers
    nm = bands.metadata["wavelengths"]
    assert f"band 3 of 12 · {nm[3]:.1f} nm" in bands.get_status((3, 5, 6), world=True)["value"]
    assert f"slider at band 3 of 12 · {nm[3]:.1f} nm" in composite.get_status((3, 5, 6), world=True)["value"]


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_plain_pictures_are_left_to_napari(tmp_path, shape):
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), photometric="minisblack" if len(shape) == 2 else "rgb")
    assert get_reader(str(path)) is None


def test_tiff_with_many_bands_is_a_cube(tmp_path):
    path = tmp_path / "cube.tif"
    tifffile.imwrite(path, np.zeros((12, 20, 30), np.uint16), photometric="minisblack")
    assert get_reader(str(path)) is not None


def test_what_is_no_cube_is_refused(tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros((5, 5)))
    (tmp_path / "lonely.raw").write_bytes(b"123")
    assert get_reader(str(tmp_path / "flat.npy")) is None
    assert get_reader(str(tmp_path / "lonely.raw")) is None
    assert get_reader(str(tmp_path / "gone.npy")) is None


def test_of_several_arrays_the_user_chooses(tmp_path):
    path = tmp_path / "two.mat"
    savemat(path, {"first": np.zeros((6, 7, 8)), "second": np.ones((5, 4, 9))})
    asked: list[tuple[str, ...]] = []

    def choose(_path: Path, names: tuple[str, ...]) -> str:
        asked.append(names)
        return "second"

    reader = get_reader(str(path), choose)
    assert reader is not None
    assert reader(str(path))[0][0].shape == (9, 5, 4)
    assert set(asked[0]) == {"first", "second"}


def test_who_chooses_nothing_gets_nothing(tmp_path):
    path = tmp_path / "two.mat"
    savemat(path, {"first": np.zeros((6, 7, 8)), "second": np.ones((5, 4, 9))})
    reader = get_reader(str(path), lambda _path, _names: None)
    assert reader is not None
    assert reader(str(path)) == []


# -- samples ------------------------------------------------------------------------------------------------------------


def test_indian_pines_opens_as_layers(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open_sample("napari-hsi-ssl", "indian_pines")
    bands, composite, truth = viewer.layers
    assert bands.data.shape == (200, 145, 145)
    assert composite.rgb
    assert int(np.asarray(truth.data).max()) == 16
    assert "Corn-notill" in list(truth.features["class"])


def test_samples_bring_their_data():
    assert len(sample_indian_pines()) == 3
    composites = [options for data, options, _ in sample_laboratory() if options.get("rgb") and data.ndim == 3]
    assert len(composites) == 7
    assert len({tuple(options["translate"]) for options in composites}) == 7
