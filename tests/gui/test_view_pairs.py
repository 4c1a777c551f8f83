"""The preview of views: live, on the user's own patch, and its strengths are those that are trained with."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hsi_ssl.config import PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.patches import cut_patches
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.views_preview import preview_views


@pytest.fixture
def form(viewer, qtbot, project):
    """The fifth form on a project with an MNF and patches of 6."""
    run(fit_pca(project, PcaConfig(bands=9, components=4, method="mnf", scale="standardise")))
    run(cut_patches(project, PatchConfig(size=6, coverage=0.3, split="blocks")))
    bench = open_workbench(viewer)
    viewer.window._qt_window.resize(1280, 800)
    bench.desk.open_project(project)
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", bench.desk.cube) is not None, timeout=20_000)
    bench.open("train")
    yield bench.forms["train"]
    qtbot.waitUntil(lambda: form_views(bench) is None or not form_views(bench).jobs.running, timeout=20_000)


def form_views(bench):
    return bench.forms["train"]._views


def opened(form, qtbot):
    qtbot.waitUntil(form.views.isEnabled, timeout=10_000)
    form.views.click()
    views = form._views
    qtbot.waitUntil(lambda: views.pairs is not None and not views.jobs.running, timeout=60_000)
    return views


def test_views_follow_strengths_and_strengths_reach_the_training(form, qtbot):
    views = opened(form, qtbot)
    assert views.pairs.size == 6
    assert "MNF, 4 components" in views.words.text()
    first = views.pairs
    light = next(group.editors["light"] for group in views.groups if "light" in group.editors)
    light.widget.setValue(0.5)
    qtbot.waitUntil(lambda: views.pairs is not first and not views.jobs.running, timeout=30_000)
    assert form.pretrain.value().augment.light == 0.5
    assert form.pretrain.value().augment.gain == PretrainConfig().augment.gain
    assert form.recipe().command.endswith("--augment light=0.5")
    expected = run(preview_views(form.project, form.pretrain.value(), form.desk.cube))
    np.testing.assert_array_equal(views.pairs.pictures, expected.pictures)
    np.testing.assert_allclose(views.pairs.spectra, expected.spectra)
    before = views.pairs
    views.again.click()
    qtbot.waitUntil(lambda: views.pairs is not before and not views.jobs.running, timeout=30_000)
    np.testing.assert_array_equal(views.pairs.pictures[0], before.pictures[0])
    assert not np.array_equal(views.pairs.spectra[1:], before.spectra[1:])
    views.reset.click()
    assert form.pretrain.value().augment == PretrainConfig().augment
    assert light.value() == 0


def test_a_change_of_recipe_changes_the_strengths_shown(form, qtbot):
    views = opened(form, qtbot)
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"recipe": "pixel"}))
    shown = {name: editor.value() for group in views.groups for name, editor in group.editors.items()}
    assert shown == PretrainConfig.from_recipe("pixel").augment.model_dump()
    assert views.moved.editors["neighbour"].value() == 3
    views.moved.editors["neighbour"].widget.setValue(5)
    assert form.pretrain.value().neighbour == 5
    views.reset.click()
    assert form.pretrain.value().neighbour == 3
    assert form.advice.text() == (
        "Inlet: MNF, 4 components of bands standardised by domain. Recipe pixel: patches of 5 to 9 pixels; wider ones blur a map of single pixels."
    )
    form.pretrain.setValue(form.pretrain.value().model_copy(update={"recipe": "poster"}))
    assert form.advice.text().endswith("tells domains apart. These have 6.")


def test_a_pinned_pixel_chooses_the_patch(form, qtbot):
    views = opened(form, qtbot)
    first = views.pairs
    form.desk.pin(form.desk.cube, 12, 10)
    qtbot.waitUntil(lambda: views.pairs is not first and not views.jobs.running, timeout=30_000)
    assert (views.pairs.y, views.pairs.x) == (9, 7)


def test_the_last_of_many_changes_counts(form, qtbot):
    views = opened(form, qtbot)
    slope = next(group.editors["slope"] for group in views.groups if "slope" in group.editors)
    for strength in (0.1, 0.4, 0.2, 0.3):
        slope.widget.setValue(strength)
        views.preview()
    expected = run(preview_views(form.project, form.pretrain.value(), form.desk.cube))
    qtbot.waitUntil(lambda: np.array_equal(views.pairs.spectra, expected.spectra), timeout=30_000)
    qtbot.waitUntil(lambda: not views.jobs.running, timeout=30_000)
    np.testing.assert_allclose(views.pairs.spectra, expected.spectra)


def test_without_a_pca_it_says_what_is_missing(viewer, qtbot, project):
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    bench.open("train")
    form = bench.forms["train"]
    qtbot.waitUntil(form.views.isEnabled, timeout=10_000)
    form.views.click()
    qtbot.waitUntil(lambda: form._views.trouble.text() == "Needs the PCA: form 3.", timeout=10_000)
    assert form._views.pairs is None


def test_the_patches_form_says_which_size_it_recommends_and_why(viewer, project):
    bench = open_workbench(viewer)
    text = bench.forms["patches"].advice.text()
    assert "Recipe poster: patches of 32 pixels, wide enough" in text
    assert "Recipe pixel: patches of 5 to 9 pixels" in text
