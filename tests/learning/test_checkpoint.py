"""Files of models and of training states."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from napari_hsi_ssl import files
from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import ProjectError, RunError
from napari_hsi_ssl.learning.checkpoint import States, build_model, load_model, load_state, save_model
from napari_hsi_ssl.learning.encoder import channels_last

TRUNK = TrunkConfig(widths=(8, 12)).model_dump(mode="json")
CARD = {"format": 1, "kind": "pretrain", "channels": 5, "window": 8, "architecture": {"trunk": TRUNK, "projection": 4}}
DISTIL = {**CARD, "kind": "distil", "architecture": {"trunk": TRUNK, "classes": 3}}


@pytest.mark.parametrize("card", [CARD, DISTIL])
def test_a_model_comes_back_with_its_card(tmp_path, card):
    model = build_model(card, seed=1)
    save_model(tmp_path, model, card)
    back, read = load_model(tmp_path / "model.safetensors")
    x = torch.randn(2, 5, 8, 8)
    torch.testing.assert_close(back.embed(x), model.embed(x))
    assert read == {**card, "sha256": files.file_hash(tmp_path / "model.safetensors")}
    assert not back.training


def test_equal_weights_are_equal_bytes(tmp_path):
    one, two = build_model(CARD, seed=3), build_model(CARD, seed=3)
    channels_last(two)
    save_model(tmp_path / "a", one, {**CARD, "note": "this one"})
    save_model(tmp_path / "b", two, CARD)
    save_model(tmp_path / "c", build_model(CARD, seed=4), CARD)
    first, second, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert first == second != other


def test_a_seed_makes_weights_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    build_model(CARD, seed=7)
    assert torch.equal(torch.rand(1), expected)


def test_truncated_missing_and_foreign_files_are_one_sentence_each(tmp_path):
    save_model(tmp_path, build_model(CARD, seed=1), CARD)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="is not a whole safetensors file"):
        load_model(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(RunError, match="is not a whole safetensors file"):
        load_model(path)
    path.unlink()
    with pytest.raises(RunError, match="cannot be read"):
        load_model(path)
    path.write_bytes(whole)
    (tmp_path / "model.json").write_text(json.dumps(DISTIL))
    with pytest.raises(RunError, match="another architecture than its card says"):
        load_model(path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "architecture": {"trunk": TRUNK}}))
    with pytest.raises(RunError, match="'projection'"):
        load_model(path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "kind": "mae"}))
    with pytest.raises(RunError, match="kind 'mae'"):
        load_model(path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "format": 99}))
    with pytest.raises(RunError, match="has format 99, expected 1"):
        load_model(path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_a_pickle_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Bomb(), "optimizer": {}, "step": 1}, tmp_path / "step-000000001.pt")
    with pytest.raises(RunError, match="not a whole training state"):
        load_state(tmp_path / "step-000000001.pt")
    assert not (tmp_path / "exploded").exists()


def state(step):
    return {"model": {"w": torch.full((3,), float(step))}, "optimizer": {}, "step": step}


def test_the_last_few_states_are_kept_and_a_torn_one_is_passed_over(tmp_path):
    states = States(tmp_path / "checkpoints", keep=2)
    assert states.newest() == (None, [])
    for step in (5, 10, 15):
        states.save(state(step))
    assert [path.name for path in states.paths()] == ["step-000000010.pt", "step-000000015.pt"]
    assert states.newest()[0]["step"] == 15
    newest = states.paths()[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    found, complaints = states.newest()
    assert found["step"] == 10
    assert len(complaints) == 1
    assert "step-000000015.pt is not a whole training state" in complaints[0]


def flip(path: Path) -> None:
    """Turn one bit over in the middle, where the numbers are."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_a_flipped_bit_is_noticed_in_a_state_and_in_a_model(tmp_path):
    """torch and safetensors read it as another number, and training or a map would go on with that."""
    states = States(tmp_path / "states", keep=2)
    for step in (5, 10):
        states.save({**state(step), "model": {"w": torch.arange(5000.0)}})
    flip(states.paths()[-1])
    assert not torch.equal(torch.load(states.paths()[-1], weights_only=True)["model"]["w"], torch.arange(5000.0)), "torch itself says nothing"
    found, (complaint,) = states.newest()
    assert found["step"] == 5
    assert "step-000000010.pt is damaged" in complaint
    save_model(tmp_path, build_model(CARD, seed=1), CARD)
    flip(tmp_path / "model.safetensors")
    with pytest.raises(RunError, match=r"model\.safetensors is not as it was when its card was written"):
        load_model(tmp_path / "model.safetensors")


def test_a_full_disk_keeps_the_last_good_state(tmp_path, monkeypatch):
    states = States(tmp_path, keep=1)
    states.save(state(1))

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProjectError, match="No space left on device"):
        states.save(state(2))
    assert states.newest()[0]["step"] == 1
    assert len(list(tmp_path.iterdir())) == 1  # no half of a file is left
