"""Every pixel's embedding is that of the window around it; the dense way is that of the same windows with their surroundings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.data import pad_frame, prepare_inputs
from napari_hsi_ssl.mapping import embed
from napari_hsi_ssl.mapping.dense import Geometry
from napari_hsi_ssl.mapping.frames import Frame
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import run

CHANNELS = 4
TRUNKS = {
    "strided": TrunkConfig(widths=(8, 12, 16)),
    "centre": TrunkConfig(widths=(8, 12, 16), pool="centre", blocks=2),
    "whole": TrunkConfig(widths=(8, 8), stem_stride=1, stride=1, pool="centre"),
    "one": TrunkConfig(widths=(8,), stem_stride=1),
}


def card(trunk, window, kind="pretrain", background="mean", channels=CHANNELS):
    architecture = {"trunk": trunk.model_dump(), **({"projection": 4} if kind == "pretrain" else {"classes": 3})}
    settings = {"source": "pcs", "offset": [0.0] * channels, "gain": [1.0, 0.7, 0.5, 0.3][:channels], "background": background}
    return {"kind": kind, "channels": channels, "window": window, "architecture": architecture, "input": settings, "classes": {"numbers": [2, 5, 9]}}


def scene(height=19, width=14, seed=0):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(height, width, CHANNELS)).astype(np.float16)
    scores[3, min(4, width - 1)] = np.nan
    area = generator.random((height, width)) < 0.9
    return scores, area


@pytest.mark.parametrize("window", [5, 8])
@pytest.mark.parametrize("kind", ["pretrain", "distil"])
def test_a_pixels_embedding_is_that_of_its_own_window(window, kind):
    made = card(TRUNKS["centre"], window, kind)
    model = build_model(made, 1).eval()
    scores, area = scene()
    found = run(embed.embed_cube(model, made, scores, area, method="windows", precision="32"))
    assert found.dtype == np.float16
    inputs = prepare_inputs(scores, made, area)
    for y, x in ((0, 0), (9, 7), (18, 13), (3, 4)):
        before = window // 2
        rows = [abs(y - before + i) for i in range(window)]
        rows = [row if row < 19 else 36 - row for row in rows]  # mirrored at the frame
        columns = [abs(x - before + i) for i in range(window)]
        columns = [column if column < 14 else 26 - column for column in columns]
        with torch.inference_mode():
            expected = model.embed(torch.from_numpy(inputs[np.ix_(rows, columns)]).permute(2, 0, 1)[None])[0].numpy()
        if area[y, x] and (y, x) != (3, 4):
            np.testing.assert_allclose(found[y, x], expected, rtol=2e-3, atol=2e-3)
        else:
            assert np.isnan(found[y, x]).all()


def surrounded(model, made, inputs, y, x):
    """The embedding of one pixel from features that saw beyond the window: the definition of the dense way."""
    window, geometry = made["window"], Geometry.of(TrunkConfig.parse(made["architecture"]["trunk"]))
    stride = geometry.strides[-1]
    reach = -(-geometry.halo // stride) * stride
    before = window // 2 + reach
    padded = np.pad(inputs, [(before, window + reach), (before, window + reach), (0, 0)], mode="reflect")
    crop = torch.from_numpy(padded[y : y + window + 2 * reach, x : x + window + 2 * reach]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        maps = model.trunk(crop)
        inner = []
        for number, step in enumerate(geometry.strides):
            count = -(-window // step)
            inner.append(maps[number][:, :, reach // step : reach // step + count, reach // step : reach // step + count])
        return model.pool(inner)[0].numpy()


@pytest.mark.parametrize("name", list(TRUNKS))
@pytest.mark.parametrize("window", [5, 8])
def test_with_every_phase_the_dense_way_is_exact_but_for_what_borders_see(name, window, monkeypatch):
    monkeypatch.setattr(embed, "PHASES", 8)
    made = card(TRUNKS[name], window)
    model = build_model(made, 2).eval()
    scores, area = scene(21, 18)
    found = run(embed.embed_cube(model, made, scores, area, method="dense", precision="32"))
    assert (np.isfinite(found).all(axis=-1) == (area & np.isfinite(scores).all(axis=-1))).all()
    inputs = prepare_inputs(scores, made, area)
    used = np.argwhere(np.isfinite(found).all(axis=-1)).tolist()
    assert len(used) > 100
    for y, x in [used[0], *used[5::61], used[-1]]:
        np.testing.assert_allclose(found[y, x], surrounded(model, made, inputs, y, x), rtol=3e-3, atol=3e-3)


@pytest.mark.parametrize("phases", [1, 2])
def test_between_two_steps_the_dense_way_is_interpolated(phases, monkeypatch):
    monkeypatch.setattr(embed, "PHASES", phases)
    made = card(TRUNKS["centre"], 8)
    model = build_model(made, 2).eval()
    scores, area = scene(41, 38)
    area[:] = True
    scores[~np.isfinite(scores)] = 0
    found = run(embed.embed_cube(model, made, scores, area, method="dense", precision="32")).astype(np.float64)
    inputs = prepare_inputs(scores, made, area)
    gap = 8 // phases
    grid = {(y, x): surrounded(model, made, inputs, y, x) for y in (16, 16 + gap) for x in (16, 16 + gap)}
    tail = slice(2 * (8 + 12), None)  # the last stage; the others have smaller steps
    for down, right in ((0, 0), (1, 2), (gap - 1, 1)):
        v, u = down / gap, right / gap
        expected = (1 - v) * ((1 - u) * grid[16, 16] + u * grid[16, 16 + gap]) + v * ((1 - u) * grid[16 + gap, 16] + u * grid[16 + gap, 16 + gap])
        np.testing.assert_allclose(found[16 + down, 16 + right][tail], expected[tail], rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("method", ["dense", "windows"])
@pytest.mark.parametrize("kind", ["pretrain", "distil"])
def test_tiles_and_batches_leave_no_trace(method, kind, monkeypatch):
    made = card(TRUNKS["strided"], 6, kind)
    model = build_model(made, 3).eval()
    scores, area = scene(45, 37)
    whole = run(embed.embed_cube(model, made, scores, area, method=method, precision="32"))
    monkeypatch.setattr(embed, "_BATCH_VALUES", 1)
    monkeypatch.setattr(embed, "_WINDOWS_SIDE", 8)
    asker = embed.Asker(model, made, method=method)
    memory = (16 + asker.margin.both) ** 2 * asker._pixel_bytes()
    seen = []
    parts = run(embed.embed_cube(model, made, scores, area, method=method, precision="32", memory=memory), seen.append)
    np.testing.assert_allclose(parts.astype(np.float32), whole.astype(np.float32), rtol=2e-3, atol=2e-3)
    assert len(seen) >= 6
    assert seen[-1].done == seen[-1].total
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)


def probabilities(model, made, scores, area, leave=-1, method=None, precision="auto"):
    """Ask one exit for its class probabilities (y, x, classes)."""
    asker = embed.Asker(model, made, method=method, precision=precision, leaves=(leave,))
    return run(embed.ask_cube(asker, Frame(scores, made, area), np.empty((*area.shape, asker.dim), dtype=np.float32), "classifying"))


@pytest.mark.parametrize("method", ["dense", "windows"])
@pytest.mark.parametrize("leave", [0, -1])
def test_probabilities_are_those_of_the_exit_that_is_asked(method, leave, monkeypatch):
    monkeypatch.setattr(embed, "PHASES", 8)
    made = card(TRUNKS["strided"], 8, "distil")
    model = build_model(made, 4).eval()
    scores, area = scene(24, 24)
    found = probabilities(model, made, scores, area, leave, method, "32")
    used = area & np.isfinite(scores).all(axis=-1)
    np.testing.assert_allclose(found[used].sum(axis=-1), 1, rtol=1e-5)
    assert np.isnan(found[~used]).all()
    if method == "windows":
        padded = pad_frame(prepare_inputs(scores, made, area), 8)
        y, x = np.argwhere(used)[100]
        with torch.inference_mode():
            expected = model(torch.from_numpy(padded[y : y + 8, x : x + 8]).permute(2, 0, 1)[None])[leave].softmax(-1)[0].numpy()
        np.testing.assert_allclose(found[y, x], expected, rtol=1e-5, atol=1e-6)


def test_the_dense_exit_reads_the_features_of_its_own_stage(monkeypatch):
    """Without strides and far from window borders both ways see the same; a centre-only comparison shows a swapped exit."""
    trunk = TRUNKS["whole"]
    made = card(trunk, 21, "distil")
    model = build_model(made, 5).eval()
    scores, area = scene(30, 30)
    area[:] = True
    ways = [probabilities(model, made, scores, area, leave, method, "32") for leave in (0, 1) for method in ("dense", "windows")]
    inner = np.s_[14:16, 14:16]
    assert np.abs(ways[0][inner] - ways[1][inner]).max() < 0.02
    assert np.abs(ways[2][inner] - ways[3][inner]).max() < 0.02
    assert np.abs(ways[0][inner] - ways[2][inner]).max() > 0.02


def index_of(rows):
    cube, y, x = (np.array(column, dtype=np.int32) for column in zip(*rows, strict=True))
    n = len(rows)
    return PatchIndex(
        cubes=("a", "b"),
        domains=("d",),
        cube=cube,
        y=y,
        x=x,
        domain=np.zeros(n, dtype=np.int32),
        split=np.zeros(n, dtype=np.uint8),
        coverage=np.ones(n, dtype=np.float32),
        size=6,
    )


def test_patches_are_embedded_in_the_order_of_their_index(monkeypatch):
    monkeypatch.setattr(embed, "_BATCH_VALUES", 1)
    made = card(TRUNKS["strided"], 6)
    model = build_model(made, 6).eval()
    images = {"a": scene(20, 21, 1)[0], "b": scene(25, 22, 2)[0]}
    areas = {"a": scene(20, 21, 1)[1], "b": scene(25, 22, 2)[1]}
    rows = [(1, 3, 4), (0, 0, 0), (1, 19, 16), (0, 14, 15), *[(0, y, y) for y in range(14)], *[(1, y, 3) for y in range(15)]]
    index = index_of(rows)
    features = run(embed.embed_patches(model, made, images, areas, index))
    for row, (cube, y, x) in enumerate(rows[:6]):
        name = index.cubes[cube]
        inputs = prepare_inputs(images[name], made, areas[name])[y : y + 6, x : x + 6]
        with torch.inference_mode():
            expected = model.embed(torch.from_numpy(inputs).permute(2, 0, 1)[None])[0].numpy()
        np.testing.assert_allclose(features[row], expected, rtol=1e-4, atol=1e-5)
    backwards = run(embed.embed_patches(model, made, images, areas, replace(index, **{k: getattr(index, k)[::-1] for k in ("cube", "y", "x")})))
    np.testing.assert_allclose(backwards[::-1], features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "window", "way"), [("strided", 6, "windows"), ("whole", 6, "dense"), ("whole", 5, "windows"), ("one", 3, "windows")])
def test_only_trunks_without_strides_and_with_windows_wider_than_they_see_are_run_densely_unasked(name, window, way):
    scores, area = scene()
    made = card(TRUNKS[name], window)
    assert embed.best_way(made) == way
    model = build_model(made, 7).eval()
    found, asked = (run(embed.embed_cube(model, made, scores, area, method=method, precision="32")) for method in (None, way))
    np.testing.assert_array_equal(found, asked)


def test_a_cube_smaller_than_the_window_is_mapped():
    made = card(TRUNKS["strided"], 16)
    model = build_model(made, 7).eval()
    scores, area = scene(5, 3)
    for method in ("dense", "windows"):
        found = run(embed.embed_cube(model, made, scores, area, method=method, precision="32"))
        assert (np.isfinite(found).all(axis=-1) == (area & np.isfinite(scores).all(axis=-1))).all()


def test_an_empty_area_gives_no_embedding():
    made = card(TRUNKS["strided"], 6)
    model = build_model(made, 8).eval()
    scores, area = scene()
    for method in ("dense", "windows"):
        assert np.isnan(run(embed.embed_cube(model, made, scores, area & False, method=method, precision="32"))).all()


def test_bad_input_is_one_sentence():
    made = card(TRUNKS["strided"], 6)
    model = build_model(made, 9).eval()
    scores, area = scene()
    with pytest.raises(RunError, match="3 channels, but the model was made for 4"):
        run(embed.embed_cube(model, made, scores[..., :3], area))
    with pytest.raises(RunError, match=r"mask has shape \(18, 14\), expected \(19, 14\)"):
        run(embed.embed_cube(model, made, scores, area[1:]))
