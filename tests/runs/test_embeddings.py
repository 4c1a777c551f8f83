"""Embeddings are made once, anew only where something changed, and go on where they were stopped."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_hsi_ssl import files
from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.learning.checkpoint import build_model, load_model, save_model
from napari_hsi_ssl.mapping.embed import Asker, embed_cube
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.runs import embeddings

SIDE, WINDOW = (61, 40), 5


@pytest.fixture
def made(tmp_path):
    trunk = TrunkConfig(widths=(6, 8), stem_stride=1, stride=1, pool="centre")
    card = {
        "format": 1,
        "kind": "pretrain",
        "channels": 3,
        "window": WINDOW,
        "architecture": {"trunk": trunk.model_dump(mode="json"), "projection": 4},
        "input": {"source": "pcs", "offset": [0.0] * 3, "gain": [1.0] * 3, "background": "keep"},
        "inlet_sha256": None,
    }
    save_model(tmp_path, build_model(card, 1), card)
    scores = np.random.default_rng(0).normal(size=(*SIDE, 3)).astype(np.float16)
    files.write_npy(tmp_path / "scores" / "a.npy", scores)
    network, card = load_model(tmp_path / "model.safetensors")
    asker = Asker(network, card)
    memory = (20 + asker.margin.both) ** 2 * asker._pixel_bytes()  # several tiles
    assert len(Asker(network, card, memory=memory).tiles(SIDE)) >= 6
    return SimpleNamespace(folder=tmp_path, network=network, card=card, scores=scores, memory=memory)


def steps(made, area=None, memory=None, model=None, scores="scores"):
    path = made.folder / "area.tif"
    files.write_tiff(path, (np.ones(SIDE, dtype=bool) if area is None else area).astype(np.uint8) * 255)
    cube = {"name": "a", "scores": str(made.folder / scores / "a.npy"), "area": str(path)}
    network, card = (made.network, made.card) if model is None else load_model(model)
    file = model or made.folder / "model.safetensors"
    return embeddings.embedding_file(network, card, file, cube, made.folder / "kept", memory or made.memory)


def expected(made, area=None):
    return run(embed_cube(made.network, made.card, made.scores, np.ones(SIDE, dtype=bool) if area is None else area, memory=made.memory))


@pytest.fixture
def asked(monkeypatch):
    """Count the tiles that go through the network."""
    calls, ask = [], Asker.values
    monkeypatch.setattr(Asker, "values", lambda asker, part: calls.append(part.tile) or ask(asker, part))
    return calls


def test_nothing_is_computed_twice(made, asked):
    path, new = run(steps(made))
    assert new
    assert len(asked) >= 6
    np.testing.assert_array_equal(np.load(path), expected(made))
    asked.clear()
    assert run(steps(made)) == (path, False)
    assert asked == []
    assert not list(path.parent.glob("*.part.*"))


def test_a_changed_mask_costs_only_the_tiles_that_see_it(made, asked):
    run(steps(made))
    whole = len(asked)
    area = np.ones(SIDE, dtype=bool)
    area[2:4, 3] = False
    asked.clear()
    path, new = run(steps(made, area))
    assert new
    assert 0 < len(asked) < whole / 2
    np.testing.assert_array_equal(np.load(path), expected(made, area))


def test_what_was_stopped_goes_on_from_its_finished_tiles(made, asked):
    going = steps(made)
    while len(asked) < 4:
        next(going)
    next(going)
    going.close()
    first = len(asked)
    assert list(made.folder.glob("kept/*/a.*.part.npy"))
    path, _ = run(steps(made))
    assert not set(map(str, asked[first:])) & set(map(str, asked[:first]))
    np.testing.assert_array_equal(np.load(path), expected(made))


def test_what_was_stopped_and_left_is_deleted_in_the_end(made, monkeypatch):
    going = steps(made)
    for _ in range(4):
        next(going)
    going.close()
    monkeypatch.setattr(embeddings, "_ABANDONED", -1)
    path, _ = run(steps(made))
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.json", "a.npy"]


def test_a_changed_cube_is_embedded_anew_with_a_word(made):
    old, _ = run(steps(made))
    files.write_npy(made.folder / "scores" / "a.npy", made.scores + np.float16(1))
    seen = []
    path, new = run(steps(made), seen.append)
    assert new
    warned = [progress.message for progress in seen if progress.warning]
    assert warned == ["cube 'a' has changed since its embedding was made, so it is made anew."]
    assert path != old
    assert not old.exists()  # it is of no use any more


def test_another_models_embedding_is_kept_and_not_taken(made):
    old, _ = run(steps(made))
    save_model(made.folder / "other", build_model(made.card, 2), made.card)
    seen = []
    path, new = run(steps(made, model=made.folder / "other" / "model.safetensors"), seen.append)
    assert new
    assert "the embedding that is kept is another model's" in seen[0].message
    assert not any(progress.warning for progress in seen)
    assert old.exists()
    assert np.abs(np.load(path).astype(float) - np.load(old)).max() > 0.01


def test_a_damaged_one_is_made_again(made):
    path, _ = run(steps(made))
    with path.open("r+b") as stream:
        stream.truncate(1000)
    assert run(steps(made)) == (path, True)
    np.testing.assert_array_equal(np.load(path), expected(made))


def test_too_little_memory_and_no_room_are_told_in_one_sentence(made, monkeypatch):
    with pytest.raises(ConfigError, match=r"a tile of the map may take 0\.00 MiB, but with the \d+ rows and columns .* the smallest takes 0\.\d+; allow"):
        run(steps(made, memory=2000))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "empty_npy", full)
    with pytest.raises(ProjectError, match="cannot be written \\(No space left on device\\)"):
        run(steps(made))
    assert not list(made.folder.glob("kept/*/*.npy"))
