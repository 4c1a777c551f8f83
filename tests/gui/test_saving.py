"""File → Save Selected Layers: what napari hands over comes back as the same cube and the same classes."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels
from npe2 import PluginManager

from napari_hsi_ssl.cubes.cube import Classes, wavelengths
from napari_hsi_ssl.cubes.rasters import read_labels
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.errors import CubeError, LabelError
from napari_hsi_ssl.gui.contributions import get_reader
from napari_hsi_ssl.gui.mask_layers import class_names
from napari_hsi_ssl.gui.saving import write_bands, write_classes
from tests.gui.conftest import write_cube


@pytest.fixture(autouse=True)
def _plugins() -> None:
    PluginManager.instance().discover(include_npe1=False)


def test_bands_that_were_read_are_saved_as_the_same_cube(tmp_path):
    source = write_cube(tmp_path / "beans.hdr")
    data, options, _ = get_reader(str(source))(str(source))[0]
    layer = Image(np.asarray(data), name=options["name"], metadata=options["metadata"])
    assert layer.save(str(tmp_path / "copy.hdr"), plugin="napari-hsi-ssl") == [str(tmp_path / "copy.hdr")]
    before, after = read_cube(source), read_cube(tmp_path / "copy.hdr")
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_allclose(wavelengths(after), wavelengths(before), atol=0.01)


@pytest.mark.parametrize("dressed", ["by features", "by the workbench"])
def test_classes_are_saved_with_their_names(tmp_path, dressed):
    numbers = np.array([[0, 2, 2], [5, 5, 0]])
    classes = Classes((2, 5), ("leaf", "pebble"), ("#102030", "#405060"))
    layer = Labels(numbers, name="classes", metadata={"hsi": {"classes": classes}} if dressed == "by the workbench" else {})
    layer.features = class_names(classes)
    layer.save(str(tmp_path / "classes.hdr"), plugin="napari-hsi-ssl")
    labels, names = read_labels(tmp_path / "classes.hdr", numbers.shape)
    np.testing.assert_array_equal(labels, numbers)
    assert (names[2], names[5]) == ("leaf", "pebble")
    coloured = "16,32,48" in "".join((tmp_path / "classes.hdr").read_text().split())
    assert coloured == (dressed == "by the workbench"), "other layers have no colours of ours"


def test_what_is_no_cube_and_no_class_image_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(CubeError, match="the layer photo has 2 dimensions, expected the three of a cube"):
        write_bands(str(tmp_path / "photo.hdr"), np.zeros((4, 5)), {"name": "photo"})
    with pytest.raises(LabelError, match="the layer cells has 3 dimensions, expected the two of an image"):
        write_classes(str(tmp_path / "cells.hdr"), np.zeros((2, 4, 5), int), {"name": "cells"})
    assert not list(tmp_path.iterdir())
