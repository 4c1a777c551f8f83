"""What a network sees of a cube: filling, scaling, windows, order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_hsi_ssl.errors import ConfigError, LabelError, RunError
from napari_hsi_ssl.learning import data
from napari_hsi_ssl.learning.data import PatchStore, PixelWindows, Scale, component_gain, input_settings, pad_frame, prepare_inputs, standardisation
from napari_hsi_ssl.patches.index import PatchIndex


def card(channels=3, background="mean", gain=(1.0, 0.5, 0.25), offset=(0.0, 0.0, 0.0)):
    return {"channels": channels, "input": input_settings(np.asarray(offset), np.asarray(gain), "pcs", background)}


def scores(seed=0, shape=(7, 9, 3)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float16)


def test_background_becomes_the_mean_of_the_cubes_foreground():
    image, area = scores(), np.zeros((7, 9), dtype=bool)
    area[2:5, 3:7] = True
    image[3, 4] = np.nan  # not measured, though inside
    ready = prepare_inputs(image, card(), area)
    good = area.copy()
    good[3, 4] = False
    gain = np.array([1.0, 0.5, 0.25])
    np.testing.assert_allclose(ready[good], image[good].astype(float) * gain, rtol=1e-6)
    np.testing.assert_allclose(ready[~good], np.broadcast_to(image[good].astype(float).mean(0) * gain, (63 - 11, 3)), rtol=1e-2, atol=1e-3)
    assert ready.dtype == np.float32


def test_background_zero_and_keep():
    image, area = scores(1), np.zeros((7, 9), dtype=bool)
    area[0, 0] = True
    image[6, 8] = np.nan
    assert (prepare_inputs(image, card(background="zero"), area)[~area] == 0).all()
    kept = prepare_inputs(image, card(background="keep"), area)
    np.testing.assert_allclose(kept[1, 1], image[1, 1].astype(float) * [1, 0.5, 0.25], rtol=1e-6)
    assert (kept[6, 8] == 0).all()


def test_bands_are_shifted_before_they_are_scaled():
    image = scores(2).astype(np.float32) * 100 + 3000
    settings = card(offset=(3000.0, 2900.0, 3100.0), gain=(0.01, 0.02, 0.03), background="keep")
    image[0, 0] = np.inf
    ready = prepare_inputs(image, settings)
    np.testing.assert_allclose(ready[1:], (image[1:] - [3000, 2900, 3100]) * [0.01, 0.02, 0.03], rtol=1e-4, atol=1e-4)
    assert (ready[0, 0] == 0).all()


def test_other_channels_are_refused():
    with pytest.raises(RunError, match="has 3 channels, but the model was made for 5"):
        prepare_inputs(scores(), card(channels=5))


def test_standardisation_is_numpys_on_the_measured_foreground():
    images = [scores(n).astype(np.float64) * 5 + 100 for n in (1, 2)]
    areas = [np.random.default_rng(n).random((7, 9)) < 0.5 for n in (1, 2)]
    pixels = np.concatenate([image[area] for image, area in zip(images, areas, strict=True)])
    images[0][areas[0].nonzero()[0][0], areas[0].nonzero()[1][0]] = np.nan
    offset, gain = standardisation(images, areas)
    np.testing.assert_allclose(offset, pixels[1:].mean(0), rtol=1e-9)
    np.testing.assert_allclose(1 / gain, pixels[1:].std(0), rtol=1e-7)


def test_without_whitening_components_keep_their_proportions():
    variance = np.array([4.0, 1.0, 0.25])
    np.testing.assert_allclose(component_gain(variance, whiten=False), [1, 0.5, 0.25])
    np.testing.assert_allclose(component_gain(variance, whiten=True), [1, 1, 1])
    np.testing.assert_allclose(component_gain(variance, whiten=0.5), np.sqrt([1, 0.5, 0.25]))


def index(size=4):
    places = np.array([(0, 0, 0), (0, 3, 5), (1, 1, 2), (1, 2, 0)], dtype=np.int32)
    cube, y, x = places.T
    return PatchIndex(("a", "b"), ("d",), cube, y, x, np.zeros(4, np.int32), np.zeros(4, np.uint8), np.ones(4, np.float32), size)


@pytest.mark.parametrize("resident", [True, False])
def test_a_patch_is_a_window_of_the_prepared_cube(monkeypatch, resident):
    """Training and dense mapping must see the same numbers, whether the cubes fit into memory or not."""
    if not resident:
        monkeypatch.setattr(data.psutil, "virtual_memory", type("Memory", (), {"available": 10}))
    images = {"a": scores(3), "b": scores(4)}
    areas = {name: np.random.default_rng(7).random((7, 9)) < 0.7 for name in images}
    store = PatchStore(index(), images, areas, card())
    found = Scale(card())(torch.from_numpy(store.windows(np.array([3, 1]))))
    for window, name, y, x in zip(found, ("b", "a"), (2, 3), (0, 5), strict=True):
        expected = prepare_inputs(images[name], card(), areas[name])[y : y + 4, x : x + 4]
        np.testing.assert_array_equal(window.numpy(), expected)


@pytest.mark.parametrize("memory", ["plenty", "none to copy the cubes into"])
@pytest.mark.parametrize("shift", [None, np.array([[-3, 2], [1, 1], [3, -4], [0, 0]])])
def test_windows_gathered_on_a_device_are_those_gathered_here(monkeypatch, memory, shift):
    """Cubes that stay on a GPU must train the very same network as cubes that do not."""
    if memory != "plenty":
        monkeypatch.setattr(data.psutil, "virtual_memory", type("Memory", (), {"available": 10}))
    images = {"a": scores(3), "b": scores(4)[:, :6]}
    areas = {name: np.random.default_rng(7).random(image.shape[:2]) < 0.7 for name, image in images.items()}
    rows, device = np.array([3, 1, 0, 2]), torch.device("cpu")
    sent = PatchStore(index(), images, areas, card()).tensor(rows, device, shift)
    monkeypatch.setattr(data, "room", lambda _: sum(image.nbytes for image in images.values()))
    store = PatchStore(index(), images, areas, card())
    gathered = store.tensor(rows, device, shift)
    assert store._on_device[device] is not None
    assert gathered.numpy().tobytes() == sent.numpy().tobytes()
    assert gathered.dtype == torch.float16
    monkeypatch.setattr(data, "room", lambda _: 10)
    assert store.tensor(rows[:2], device).shape == (2, 4, 4, 3)  # once there they stay


def test_a_moved_window_stays_in_its_cube():
    images = {"a": scores(3), "b": scores(4)}
    store = PatchStore(index(), images, {}, card(background="keep"))
    moved = store.windows(np.array([0, 1, 2]), np.array([[-3, -3], [3, 3], [1, -1]]))
    np.testing.assert_array_equal(moved[0], images["a"][:4, :4])
    np.testing.assert_array_equal(moved[1], images["a"][3:7, 5:9])
    np.testing.assert_array_equal(moved[2], images["b"][2:6, 1:5])


def test_the_order_is_new_every_epoch_and_the_same_every_time():
    first = data.order(3, 0, 100)
    assert sorted(first) == list(range(100))
    assert (first == data.order(3, 0, 100)).all()
    assert (first != data.order(3, 1, 100)).any()
    assert (first != data.order(4, 0, 100)).any()
    shifts = data.neighbours(0, 5, 4000, 2)
    assert sorted(set(shifts.ravel().tolist())) == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("window", [1, 4, 5])
def test_pixel_windows_are_centred_and_mirrored_at_the_frame(window):
    image, labels = scores(5), np.zeros((7, 9), dtype=np.int32)
    labels[0, 0], labels[6, 8], labels[3, 4] = 9, 2, 5
    windows = PixelWindows([image], [labels], (2, 5, 9), window)
    assert windows.labels.tolist() == [2, 1, 0]
    found = windows.windows(np.arange(3))
    assert found.shape == (3, window, window, 3)
    for row, (y, x) in enumerate([(0, 0), (3, 4), (6, 8)]):
        np.testing.assert_array_equal(found[row, window // 2, window // 2], image[y, x])
    padded = np.pad(image, [(window // 2, window - 1 - window // 2)] * 2 + [(0, 0)], mode="reflect")
    np.testing.assert_array_equal(found[2], padded[6 : 6 + window, 8 : 8 + window])
    np.testing.assert_array_equal(pad_frame(image, window), padded)


def test_a_class_the_run_does_not_know_is_named():
    with pytest.raises(LabelError, match="class 7"):
        PixelWindows([scores()], [np.full((7, 9), 7)], (2, 5), 3)


def test_a_damaged_array_is_named(tmp_path):
    path = tmp_path / "c.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(ConfigError, match=r"c\.npy cannot be read as an array"):
        data.open_scores(path)
