"""The map of a self-distillation network that was stopped goes on from its finished tiles and comes out the same; where anything changed it is made anew."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.checkpoint import build_model, save_model
from napari_hsi_ssl.mapping import exits
from napari_hsi_ssl.mapping.embed import Asker
from napari_hsi_ssl.mapping.unknown import fit_clouds
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import map_jobs

SIDE, WINDOW = (40, 36), 7
WRITTEN = ("labels", "confidence", "entropy", "disagreement", "typicality")


def saved(folder, seed):
    card = {
        "format": 1,
        "kind": "distil",
        "channels": 3,
        "window": WINDOW,
        "architecture": {"trunk": TrunkConfig(widths=(4, 4), stem_stride=1, stride=1, pool="centre").model_dump(mode="json"), "classes": 3},
        "classes": {"numbers": [2, 5, 9], "names": ["x", "y", "z"], "colours": ["#000000"] * 3},
        "input": {"source": "bands", "offset": [0.0] * 3, "gain": [1.0] * 3, "background": "mean"},
        "inlet_sha256": None,
    }
    network = build_model(card, seed).eval()
    save_model(folder, network, card)
    return Asker(network, card, leaves=range(2))


@pytest.fixture
def made(tmp_path):
    asker = saved(tmp_path, 1)
    draws = np.random.default_rng(0)
    scores = draws.normal(size=(*SIDE, 3)).astype(np.float16)
    files.write_npy(tmp_path / "a.npy", scores)
    fit_clouds({"a": scores}, {"a": draws.integers(0, 4, SIDE)}).write(tmp_path / "clouds.npz")
    memory = (14 + asker.margin.both) ** 2 * asker._pixel_bytes()
    return SimpleNamespace(folder=tmp_path, scores=scores, memory=memory)


def mapping(made, to, *, area=None, model=None, cache="kept", memory=None, **settings):
    """Map the cube; returns the job, and where it writes."""
    path = made.folder / f"{to}.tif"
    used = np.ones(SIDE, dtype=bool) if area is None else area
    files.write_tiff(path, used.astype(np.uint8) * 255)
    paths = {name: made.folder / to / f"{name}.npy" for name in WRITTEN}
    return map_jobs.classify(
        model=str((model or made.folder) / "model.safetensors"),
        inlet="",
        cube={"name": "a", "scores": str(made.folder / "a.npy"), "area": str(path)},
        references=[],
        settings={"method": "distil", **settings},
        cache=str(made.folder / cache),
        labels=str(paths["labels"]),
        confidence=str(paths["confidence"]),
        layers={name: str(paths[name]) for name in WRITTEN[2:]},
        temperature=1.5,
        clouds=str(made.folder / "clouds.npz"),
        memory=memory or made.memory,
    )


def told(steps):
    """Drive a job to its end; returns its report and its warnings."""
    seen = []
    report = run(steps, seen.append)
    return report, [progress.message for progress in seen if progress.warning]


def same(made, one, other):
    return {name for name in WRITTEN if (made.folder / one / f"{name}.npy").read_bytes() == (made.folder / other / f"{name}.npy").read_bytes()}


def left(made, what="map"):
    return sorted(path.name for path in made.folder.glob(f"kept/unfinished/{what}/*/*"))


def stop(steps, what, after):
    """Stop a job after some tiles of what it makes."""
    done = 0
    while done < after:
        done += next(steps).message == f"a: {what}"
    steps.close()


@pytest.fixture
def asked(monkeypatch):
    """Count the tiles that a network's own map is asked of."""
    calls, ask = [], exits.OwnMap.values
    monkeypatch.setattr(exits.OwnMap, "values", lambda source, part: calls.append(part.tile) or ask(source, part))
    return calls


@pytest.mark.parametrize("settings", [{}, {"exits": "mean"}, {"turns": True}, {"exit_at": 0.4}], ids=str)
def test_what_was_stopped_goes_on_with_a_word_and_comes_out_the_same(made, asked, settings):
    calm, warned = told(mapping(made, "calm", cache="elsewhere", **settings))
    whole = len(asked)
    assert whole >= 6
    assert warned == []
    asked.clear()
    stop(mapping(made, "late", **settings), "map", 5)  # the first word of it comes before its first tile
    assert len(left(made)) == 2
    before = len(asked)
    assert 0 < before < whole
    report, warned = told(mapping(made, "late", **settings))
    assert warned == [f"a: its map goes on from {before} of {whole} tiles that were finished before."]
    assert len(asked) == whole
    assert len(set(map(str, asked))) == whole, "a finished tile was asked again"
    assert same(made, "calm", "late") == set(WRITTEN)
    assert report == calm  # of an early exit too: what was saved, over all tiles
    assert left(made) == left(made, "disagreement") == []


def test_what_was_stopped_beside_the_map_does_not_cost_the_map(made, asked):
    told(mapping(made, "calm", cache="elsewhere"))
    whole = len(asked)
    stop(mapping(made, "late"), "disagreement", 4)
    _, warned = told(mapping(made, "late"))
    assert len(asked) == 2 * whole  # the calm one's, and once more
    assert warned == [f"a: its disagreement goes on from 3 of {whole} tiles that were finished before."]
    assert same(made, "calm", "late") == set(WRITTEN)
    assert left(made) == left(made, "disagreement") == []


def test_tiles_of_another_model_or_setting_are_not_taken(made, asked):
    saved(made.folder / "other", 2)
    for changed in ({"model": made.folder / "other"}, {"exits": "mean"}, {"exit_at": 0.4}):
        calm, _ = told(mapping(made, "calm", cache="elsewhere", **changed))
        whole = len(asked)
        stop(mapping(made, "late"), "map", 5)
        asked.clear()
        report, warned = told(mapping(made, "late", **changed))
        assert (len(asked), warned, report) == (whole, [], calm)
        assert same(made, "calm", "late") == set(WRITTEN)
        asked.clear()


def test_tiles_of_a_cube_that_has_changed_are_not_taken(made, asked):
    stop(mapping(made, "late"), "map", 5)
    files.write_npy(made.folder / "a.npy", made.scores + np.float16(0.5))
    _, warned = told(mapping(made, "late"))
    assert warned == ["cube 'a' has changed since its map was begun, so it is made anew."]
    told(mapping(made, "calm", cache="elsewhere"))
    assert same(made, "calm", "late") == set(WRITTEN)


def test_after_a_change_of_the_mask_only_tiles_that_do_not_see_it_are_taken(made, asked):
    stop(mapping(made, "late", exit_at=0.4), "map", 5)
    first = len(asked)
    area = np.ones(SIDE, dtype=bool)
    area[-3:, -3:] = False
    report, warned = told(mapping(made, "late", area=area, exit_at=0.4))
    taken = first - sum(asked[first:].count(tile) for tile in asked[:first])
    calm, _ = told(mapping(made, "calm", cache="elsewhere", area=area, exit_at=0.4))
    assert warned == []
    assert taken == first
    assert same(made, "calm", "late") == set(WRITTEN)
    assert report == calm


def test_too_little_memory_for_the_surroundings_is_one_sentence(made):
    with pytest.raises(
        ConfigError, match=r"a tile of the map may take 0\.00 MiB, but with the \d+ rows and columns .* smallest takes 0\.\d+; allow it more \(--memory\)\."
    ):
        run(mapping(made, "calm", memory=2000))
