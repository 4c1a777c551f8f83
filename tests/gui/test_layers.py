"""What is put on the canvas, found again, changed in place and read back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_hsi_ssl.cubes.cube import Classes, as_cube
from napari_hsi_ssl.cubes.readers import read_cube
from napari_hsi_ssl.gui import layers, mask_layers, pictures, result_layers
from napari_hsi_ssl.gui.bandstack import BandStack
from napari_hsi_ssl.gui.canvas import canvas_for
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.pictures import band_pixels, box_of, closed, composing, picture, sample_limits, shown_step, window_outlines
from napari_hsi_ssl.progress import run


def cube(shape=(8, 6, 10), wavelength=True, **attrs):
    values = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    return as_cube(values, np.linspace(450, 900, shape[2]) if wavelength else None, "dn", "beans", **attrs)


@pytest.fixture
def viewer():
    """The model alone: layers need no window, and this is a hundred times faster."""
    return ViewerModel()


@pytest.fixture
def shown(viewer):
    layers.show_cube(viewer, picture("beans", cube()), lambda _band: None)
    return viewer


def test_cube_is_one_layer_below_its_composite(shown):
    """One layer a band would freeze napari; the composite must not be hidden by the bands."""
    assert [layers.role_of(layer) for layer in shown.layers] == ["cube", "rgb"]
    bands, composite = shown.layers
    assert bands.data.shape == (10, 8, 6)
    assert composite.rgb
    assert composite.data.shape == (8, 6, 3)
    np.testing.assert_array_equal(np.asarray(bands.data[3]), cube().values[:, :, 3])
    assert tuple(bands.axis_labels) == ("wavelength", "y", "x")


def test_showing_again_replaces(shown):
    layers.show_cube(shown, picture("beans", cube()), lambda _band: None)
    assert [layers.role_of(layer) for layer in shown.layers] == ["cube", "rgb"]


def test_status_names_band_and_wavelength(shown):
    bands = layers.find(shown, "cube")
    shown.dims.set_current_step(0, 4)
    status = bands.get_status((4, 2, 3), view_direction=None, dims_displayed=[1, 2], world=True)
    assert "band 4 of 10 · 650.0 nm" in status["coordinates"]


def test_status_over_the_colour_picture_tells_where_the_slider_stands(shown):
    """The picture is what a newcomer points at; its colours are not of the slider's band, so it must say whose band that is."""
    picture = layers.find(shown, "rgb")
    shown.dims.set_current_step(0, 4)
    for name in ("coordinates", "value"):
        assert picture.get_status((4, 2, 3), view_direction=None, dims_displayed=[1, 2], world=True)[name].endswith("slider at band 4 of 10 · 650.0 nm")


def test_order_of_roles_whatever_comes_first(shown):
    result_layers.show_grid(shown, "beans", np.zeros((8, 6), np.uint8))
    mask_layers.show_mask(shown, "beans", np.eye(8, 6, dtype=bool), saved=True)
    result_layers.show_map(shown, "beans", np.ones((8, 6), int), Classes.of([1, 2]), "map one")
    result_layers.show_confidence(shown, "beans", np.ones((8, 6), np.float32), "map one")
    assert [layers.role_of(layer) for layer in shown.layers] == ["cube", "rgb", "confidence", "map", "mask", "grid"]


def test_layers_of_others_are_left_alone(shown):
    stranger = shown.add_image(np.zeros((5, 5)))
    layers.clear_others(shown, "another cube")
    assert list(shown.layers) == [stranger]


def test_unsaved_strokes_survive_a_change_of_cube(shown):
    """Switching cubes must not throw painted labels away."""
    layer = mask_layers.show_labels(shown, "beans", np.zeros((8, 6), int), Classes.of([1]), saved=True)
    layer.selected_label = 1
    layer.paint((2, 2), 1)
    layers.clear_others(shown, "other")
    assert [layers.role_of(left) for left in shown.layers] == ["labels"]
    assert not layer.visible
    layers.clear_others(shown, "beans")
    assert layer.visible
    assert layer.data[2, 2] == 1


def test_mask_is_updated_in_place_and_read_back(shown):
    first = mask_layers.show_mask(shown, "beans", np.zeros((8, 6), bool), saved=True)
    wanted = np.eye(8, 6, dtype=bool)
    second = mask_layers.show_mask(shown, "beans", wanted, saved=False)
    assert first is second
    np.testing.assert_array_equal(mask_layers.mask_on_canvas(shown, "beans"), wanted)
    assert layers.unsaved(second)


def test_a_drawn_region_can_be_undone(shown):
    layer = mask_layers.show_mask(shown, "beans", np.zeros((8, 6), bool), saved=True)
    region = np.zeros((8, 6), bool)
    region[2:5, 1:4] = True
    mask_layers.change_mask(shown, "beans", region, True)
    np.testing.assert_array_equal(mask_layers.mask_on_canvas(shown, "beans"), region)
    layer.undo()
    assert not mask_layers.mask_on_canvas(shown, "beans").any()


def test_map_has_names_colours_and_hidden_confidence(shown):
    classes = Classes.of([3, 7], {3: "corn", 7: "oats"})
    layer = result_layers.show_map(shown, "beans", np.full((8, 6), 7), classes, "one")
    result_layers.show_confidence(shown, "beans", np.full((8, 6), 0.5, np.float32), "one")
    assert list(layer.features["class"]) == ["unlabelled", "corn", "oats"]
    red, green, blue = (int(classes.colours[1][start : start + 2], 16) / 255 for start in (1, 3, 5))
    np.testing.assert_allclose(layer.colormap.map(7)[:3], (red, green, blue), atol=0.01)
    sure = result_layers.confidence_of(shown, layer)
    assert sure is not None
    assert not sure.visible
    assert "oats" in layer.get_status((0, 1, 1), dims_displayed=[1, 2], world=True)["coordinates"]


def test_a_newer_map_of_the_same_name_takes_its_place(shown):
    one = result_layers.show_map(shown, "beans", np.ones((8, 6), int), Classes.of([1]), "one")
    again = result_layers.show_map(shown, "beans", np.full((8, 6), 2), Classes.of([1, 2]), "one")
    assert one is again
    assert (again.data == 2).all()
    assert len(result_layers.map_layers(shown)) == 1


def test_drawn_polygons_come_back_in_pixels(shown):
    layer = layers.draw(shown, "add_polygon")
    corners = np.array([[1, 1], [1, 4], [5, 4]])
    layer.add(corners, shape_type="polygon")
    layer.selected_data = set()
    ((kind, found),) = layers.drawn(shown)
    assert kind == "polygon"
    np.testing.assert_allclose(found, corners)
    layers.clear_drawing(shown)
    assert layers.drawn(shown) == []


# -- a cube larger than memory ------------------------------------------------------------------------------------------


def test_band_stack_never_reads_itself():
    """napari asks on the GUI thread: the answer is what is at hand, and the wanted band is asked for elsewhere."""
    wanted: list[int] = []
    first = np.full((4, 5), 7, np.float32)
    stack = BandStack((4, 5, 100), 3, first, wanted.append)
    assert stack.shape == (100, 4, 5)
    np.testing.assert_array_equal(stack[3], first)
    assert wanted == []
    np.testing.assert_array_equal(stack[60], first)
    assert wanted == [60]
    stack.put(60, np.full((4, 5), 9, np.float32))
    np.testing.assert_array_equal(stack[60, 1:3, :], np.full((2, 5), 9, np.float32))
    assert wanted == [60]


def test_band_stack_in_napari(viewer):
    values = cube((4, 5, 6))
    shown = picture("beans", values)
    stacked = type(shown)(**{**shown.__dict__, "bands_first": None})
    wanted: list[int] = []
    bands = layers.show_cube(viewer, stacked, wanted.append)
    bands.visible = True
    viewer.dims.set_current_step(0, 3)
    assert wanted[-1] == 3
    layers.band_arrived(viewer, "beans", 3, values.values[:, :, 3])
    np.testing.assert_array_equal(np.asarray(bands._slice.image.raw), values.values[:, :, 3])


# -- pictures -----------------------------------------------------------------------------------------------------------


def layout_cube(folder, layout, shape=(400, 300, 20)):
    """A mapped ENVI cube."""
    path = folder / f"beans_{layout}.hdr"
    values = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    values[100:200] += 9000
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[layout]
    values.transpose(axes).tofile(path.with_suffix(".img"))
    centres = ", ".join(str(nm) for nm in np.linspace(400, 900, shape[2]))
    path.write_text(
        f"ENVI\nsamples = {shape[1]}\nlines = {shape[0]}\nbands = {shape[2]}\nheader offset = 0\ndata type = 12\nbyte order = 0\n"
        f"interleave = {layout}\nwavelength units = nm\nwavelength = {{{centres}}}\n"
    )
    return read_cube(path)


@pytest.mark.parametrize("layout", ["bsq", "bil", "bip"])
def test_a_glance_reads_some_rows_and_the_rest_is_filled_in(tmp_path, monkeypatch, layout):
    """What is filled in must be the picture that would have been made at once."""
    values = layout_cube(tmp_path, layout)
    whole = picture("beans", values)
    monkeypatch.setattr(pictures, "_QUICK_BYTES", 60_000)
    monkeypatch.setattr(pictures, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(pictures, "_PAGES_BYTES", 4096)
    shown = picture("beans", values, quick=True)
    assert not shown.complete
    assert shown.bands_first is None
    assert shown.composite.shape == whole.composite.shape
    np.testing.assert_array_equal(shown.composite[0], shown.composite[1])
    assert shown.composite[150].mean() > shown.composite[20].mean() + 50
    filled = run(composing("beans", values, shown.look, shown.step, shown.composite))
    assert filled.complete
    np.testing.assert_array_equal(filled.image, whole.composite)
    assert shown.first.dtype == np.uint16
    assert shown.first.shape == (400, 300)


def test_a_band_of_a_mapped_cube_is_copied_in_the_type_of_the_file(tmp_path):
    """A view of the file would be read by napari on the GUI thread; float32 would take twice the memory."""
    values = layout_cube(tmp_path, "bip")
    found = band_pixels(values, 7)
    assert found.dtype == np.uint16
    assert type(found) is np.ndarray
    assert found.base is None
    np.testing.assert_array_equal(found, values.values[:, :, 7])
    np.testing.assert_array_equal(band_pixels(values, 7, 3), values.values[::3, ::3, 7])
    assert band_pixels(as_cube(np.ones((2, 2, 2))), 0).dtype == np.float32


def test_an_image_larger_than_a_screen_is_shown_by_every_nth_pixel(viewer, monkeypatch):
    """It must lie where the whole one would: a pixel that is pointed at is looked up in the file."""
    assert shown_step((1600, 1600, 3)) == 1
    assert shown_step((20_000, 5_000, 100)) == 3
    monkeypatch.setattr(pictures, "_SHOWN_PIXELS", 12)
    shown = picture("beans", cube())
    assert shown.step == 2
    bands = layers.show_cube(viewer, shown, lambda _band: None)
    composite = layers.find(viewer, "rgb")
    assert composite.data.shape == (4, 3, 3)
    assert bands.data.shape == (10, 4, 3)
    for layer in (bands, composite):
        np.testing.assert_allclose(np.asarray(layer.extent.world)[:, -2:], [[0.5, 0.5], [6.5, 4.5]])


def test_limits_pass_over_the_ignore_value():
    values = np.full((20, 20, 4), -32768, np.int16)
    values[::2] = np.arange(40).reshape(10, 1, 4)[:, :1] + np.arange(20)[None, :, None]
    low, _ = sample_limits(as_cube(values, nodata=-32768))
    assert low >= 0


def test_limits_of_a_flat_cube_are_no_empty_range():
    low, high = sample_limits(as_cube(np.full((4, 4, 3), 5, np.uint8)))
    assert high > low


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 10), st.integers(0, 1))
def test_outlines_are_those_of_a_loop(y, x, size, split):
    found = window_outlines((32, 32), np.array([y]), np.array([x]), size, np.array([split]))
    slow = np.zeros((32, 32), np.uint8)
    for row in range(y, y + size):
        for column in range(x, x + size):
            if row in {y, y + size - 1} or column in {x, x + size - 1}:
                slow[row, column] = split + 1
    np.testing.assert_array_equal(found, slow)


def test_box_holds_the_pixels_that_were_drawn_around():
    """Pixel 3 spans 2.5 to 3.5, so a rectangle from 2.6 to 5.4 is of the pixels 3 to 5."""
    assert box_of(np.array([[2.6, 0.1], [2.6, 3.9], [5.4, 3.9], [5.4, 0.1]]), (10, 10)) == (3, 0, 6, 5)
    assert box_of(np.array([[-9, -9], [99, 99]]), (10, 12)) == (0, 0, 10, 12)
    assert box_of(np.array([[20, 20], [30, 30]]), (10, 10)) is None


def test_ellipse_becomes_a_polygon_inside_its_box():
    box = np.array([[0, 0], [0, 8], [4, 8], [4, 0]], float)
    outline = closed(box, "ellipse")
    np.testing.assert_allclose(outline.min(axis=0), (0, 0), atol=0.02)
    np.testing.assert_allclose(outline.max(axis=0), (4, 8), atol=0.02)
    radii = ((outline - (2, 4)) / (2, 4)) ** 2
    np.testing.assert_allclose(radii.sum(axis=1), 1, atol=1e-9)


def test_another_cube_takes_over_mask_and_labels_that_are_saved(viewer, qtbot, project):
    """Layers taken away and added anew cost the window half a second each time somebody looks at another cube."""
    for name in project.entries:
        shape = project.entry(name).shape[:2]
        mask = np.zeros(shape, dtype=bool)
        mask[: len(name) + 2] = True
        project.save_mask(name, mask)
        project.save_labels(name, mask.astype(np.int32) * 3, {3: "seed"})
    desk = desk_for(viewer)
    canvas_for(desk)
    desk.open_project(project)
    qtbot.waitUntil(lambda: layers.find(viewer, "labels", "beans") is not None, timeout=10_000)
    before = {role: layers.find(viewer, role, "beans") for role in ("cube", "rgb", "mask", "labels")}
    desk.set_cube("cubes")
    qtbot.waitUntil(lambda: layers.find(viewer, "labels", "cubes") is not None, timeout=10_000)
    assert {role: layers.find(viewer, role, "cubes") for role in before} == before
    np.testing.assert_array_equal(before["mask"].data != 0, project.mask("cubes"))
    np.testing.assert_array_equal(before["labels"].data, project.labels("cubes"))
    assert (before["mask"].name, before["labels"].name) == ("cubes mask", "cubes labels")
    assert tuple(viewer.dims.range[0])[1] == project.entry("cubes").shape[2] - 1  # the slider has the other cube's bands
    before["mask"].data[0, 0] = 0
    layers.mark_unsaved(before["mask"])
    desk.set_cube("beans")
    qtbot.waitUntil(lambda: layers.find(viewer, "mask", "beans") is not None, timeout=10_000)
    assert layers.find(viewer, "mask", "beans") is not before["mask"]  # what is not saved is not written over
    assert layers.find(viewer, "mask", "cubes") is before["mask"]
