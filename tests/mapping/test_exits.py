"""What the exits say of a cube: each for itself, together, and leaving early."""

import numpy as np
import pytest
import torch

from napari_hsi_ssl.config import ClassifyConfig, TrunkConfig
from napari_hsi_ssl.errors import ConfigError, RunError
from napari_hsi_ssl.learning.checkpoint import build_model
from napari_hsi_ssl.learning.encoder import multiply_adds
from napari_hsi_ssl.mapping.exits import exits_probabilities, own_probabilities
from napari_hsi_ssl.mapping.frames import Frame
from napari_hsi_ssl.mapping.leaving import Leaver, stage_costs
from napari_hsi_ssl.progress import run
from tests.mapping.test_embed import card, probabilities, scene

FLAT = TrunkConfig(widths=(8, 12, 16), stem_stride=1, stride=1, pool="centre")
STRIDED = TrunkConfig(widths=(8, 12), pool="centre")


def network(trunk=FLAT, window=7, seed=1):
    made = card(trunk, window, "distil")
    return build_model(made, seed).eval(), made


@pytest.mark.parametrize("method", ["dense", "windows"])
def test_each_exit_says_what_it_says_when_it_is_asked_alone(method):
    model, made = network()
    scores, area = scene(23, 18)
    found = run(exits_probabilities(model, made, scores, area, method=method))
    assert found.shape == (3, 23, 18, 3)
    for leave in range(3):
        alone = probabilities(model, made, scores, area, leave, method)
        np.testing.assert_allclose(found[leave], alone, rtol=1e-5, atol=1e-6)
    assert np.isnan(found[:, ~area]).all()


def test_the_exits_of_a_strided_trunk_are_asked_by_windows():
    model, made = network(STRIDED)
    scores, area = scene(11, 9)
    found, expected = (run(exits_probabilities(model, made, scores, area, method=method)) for method in (None, "windows"))
    np.testing.assert_array_equal(found, expected)


def test_an_area_of_another_shape_is_one_sentence():
    model, made = network()
    scores, area = scene()
    with pytest.raises(RunError, match="mask has shape"):
        run(exits_probabilities(model, made, scores, area[1:]))


@pytest.mark.parametrize("method", ["dense", "windows"])
def test_the_mean_is_that_of_all_exits(method):
    model, made = network()
    scores, area = scene(15, 12)
    found, told = run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", exits="mean"), method=method))
    each = run(exits_probabilities(model, made, scores, area, method=method))
    np.testing.assert_allclose(found, each.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert told == {}


@pytest.mark.parametrize("method", ["dense", "windows"])
def test_turns_are_those_of_every_window(method):
    """The definition: each window turned and mirrored, asked, and the answers averaged. The turned tile must give every pixel its own."""
    model, made = network()
    scores, area = scene(13, 17)
    found, _ = run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", turns=True), method=method))
    turned = [np.rot90(image[:, ::-1] if code >= 4 else image, code % 4) for code in range(8) for image in (scores,)]
    areas = [np.rot90(area[:, ::-1] if code >= 4 else area, code % 4) for code in range(8)]
    expected = np.zeros((13, 17, 3))
    for code, (image, used) in enumerate(zip(turned, areas, strict=True)):
        back = np.rot90(probabilities(model, made, image.copy(), used.copy(), method=method), -(code % 4))
        expected += back[:, ::-1] if code >= 4 else back
    np.testing.assert_allclose(found, expected / 8, rtol=1e-4, atol=1e-5)
    plain = probabilities(model, made, scores, area, method=method)
    assert np.nanmax(np.abs(found - plain)) > 1e-3


def test_a_window_without_a_centre_is_not_turned():
    model, made = network(window=6)
    scores, area = scene()
    with pytest.raises(ConfigError, match="window is 6 pixels, which has no centre"):
        run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", turns=True)))


@pytest.mark.parametrize("settings", [{"exit_at": 0.9, "exits": "mean"}, {"exit_at": 0.9, "turns": True}, {"method": "knn", "turns": True}])
def test_settings_that_contradict_each_other_are_one_sentence(settings):
    with pytest.raises(ConfigError, match="exit"):
        ClassifyConfig.parse({"method": "distil", **settings})


def sharp(trunk=FLAT, window=7):
    """A network whose exits are sure of some pixels and not of others."""
    model, made = network(trunk, window)
    with torch.no_grad():
        for leave in model.exits:
            leave.classify.weight.mul_(12)
    return model, made


@pytest.mark.parametrize("method", ["dense", "windows"])
def test_the_first_exit_that_is_sure_decides(method, monkeypatch):
    monkeypatch.setattr("napari_hsi_ssl.mapping.leaving._BATCH", 50)
    model, made = sharp()
    scores, area = scene(31, 27)
    each = run(exits_probabilities(model, made, scores, area, method=method))
    used = np.isfinite(each[0, ..., 0])
    threshold = float(np.median(each[0][used].max(axis=-1)))
    found, told = run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", exit_at=threshold), method=method))
    sure = each.max(axis=-1) >= threshold
    sure[-1] = True
    first = sure.argmax(axis=0)
    expected = np.take_along_axis(each, first[None, ..., None], axis=0)[0]
    np.testing.assert_allclose(found[used], expected[used], rtol=1e-4, atol=1e-5)
    assert np.isnan(found[~used]).all()
    early = told["early"]
    shares = np.bincount(first[used], minlength=3) / used.sum()
    np.testing.assert_allclose(early["left"], shares, atol=2 / used.sum())
    assert early["left"][0] > 0.3
    assert early["compared"] == used.sum()
    same = expected[used].argmax(axis=-1) == each[-1][used].argmax(axis=-1)
    assert early["agreement"] == pytest.approx(same.mean(), abs=2 / used.sum())


def test_what_leaving_saves_is_what_is_not_computed(monkeypatch):
    """Counted by hand: a pixel that left at an exit spent the stages up to it, and nothing more."""
    model, made = sharp()
    scores, area = scene(20, 20)
    trunk, exits = stage_costs(model, 7)
    assert sum(trunk) + sum(exits) == multiply_adds(model, 4, 7)
    config = ClassifyConfig(method="distil", exit_at=0.6)
    _, told = run(own_probabilities(model, made, scores, area, config, method="windows"))
    spent = np.cumsum(np.add(trunk, exits))
    assert told["early"]["saved"] == pytest.approx(1 - np.dot(told["early"]["left"], spent) / spent[-1])
    assert told["early"]["saved_by_windows"] == pytest.approx(told["early"]["saved"])
    assert 0 < told["early"]["saved"] < 1


def test_where_all_leave_at_once_nothing_deeper_is_computed():
    model, made = sharp()
    with torch.no_grad():
        model.exits[0].classify.bias[1] = 1e3
    scores, area = scene(20, 20)
    for method in ("dense", "windows"):
        asked = []
        hooks = [stage.register_forward_hook(lambda *_, asked=asked, number=number: asked.append(number)) for number, stage in enumerate(model.trunk.stages)]
        leaver = Leaver(model, made, 0.5, method=method)
        (tile,) = leaver.asker.tiles((20, 20))
        part = Frame(scores, made, area).part(tile, leaver.asker.margin)
        leaver.values(part)  # the one that is compared is taken to the end
        asked.clear()
        leaver.values(part)
        assert set(asked) == {0}
        assert leaver.report()["left"] == [1, 0, 0]
        assert leaver.report()["saved"] > 0.5
        for hook in hooks:
            hook.remove()


def test_undecided_pixels_in_a_corner_are_computed_in_their_rectangle():
    model, made = sharp()
    scores, area = scene(40, 40)
    area[:] = False
    area[2:9, 30:37] = True
    whole = run(exits_probabilities(model, made, scores, area, method="dense"))
    found, told = run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", exit_at=1.0), method="dense"))
    used = np.isfinite(found[..., 0])
    sure = whole[:, used].max(axis=-1) >= 1
    expected = np.where(sure[0][:, None], whole[0][used], np.where(sure[1][:, None], whole[1][used], whole[2][used]))
    np.testing.assert_allclose(found[used], expected, rtol=1e-4, atol=1e-5)
    assert told["early"]["saved"] > 0.3, "two thirds of the cube are not looked at"


def test_a_strided_trunk_lets_windows_leave_one_by_one():
    model, made = sharp(STRIDED, 8)
    scores, area = scene(12, 12)
    _, told = run(own_probabilities(model, made, scores, area, ClassifyConfig(method="distil", exit_at=0.7), method="dense"))
    assert told["early"]["way"] == "windows"


def test_of_an_empty_area_nothing_is_told():
    model, made = network()
    scores, area = scene()
    found, told = run(own_probabilities(model, made, scores, area & False, ClassifyConfig(method="distil", exit_at=0.9)))
    assert np.isnan(found).all()
    assert told["early"]["left"] == []
    assert told["early"]["saved"] is None
