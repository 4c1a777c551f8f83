"""The Explore form: what belongs to MNF alone, the training-free projection, and everything named after what it is."""

from __future__ import annotations

import pytest

from napari_hsi_ssl import run
from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.steps.pca import fit_pca


@pytest.fixture
def bench(viewer, qtbot, project):
    bench = open_workbench(viewer, explorer=False)
    bench.desk.open_project(project)
    bench.open("explore")
    qtbot.waitUntil(lambda: layers.find(viewer, "rgb", "beans") is not None, timeout=10_000)
    return bench


def fitted(qtbot, bench, button):
    before = bench.desk.project.inlet
    qtbot.waitUntil(button.isEnabled, timeout=10_000)
    button.click()
    qtbot.waitUntil(lambda: bench.desk.project.inlet != before and not bench.desk.busy, timeout=30_000)


def shown_components(qtbot, bench, name):
    bench.forms["explore"].images.click()
    qtbot.waitUntil(lambda: name in bench.desk.viewer.layers, timeout=10_000)
    qtbot.waitUntil(lambda: " of " in bench.desk.viewer.canvas.overlays.text.text, timeout=5000)
    return bench.desk.viewer.canvas.overlays.text.text


def test_what_only_mnf_has_is_offered_with_mnf_alone(bench):
    """Else edges and denoise could be chosen for a PCA, which refuses them."""
    form = bench.forms["explore"]
    form.fields.more.expand(animate=False)
    edges, denoise, method = (form.fields.editors[name].widget for name in ("edges", "denoise", "method"))
    assert not edges.isVisibleTo(form)
    assert not denoise.isVisibleTo(form)
    assert form.fit.text() == "Fit PCA"
    method.setCurrentIndex(method.findText("MNF"))
    assert edges.isVisibleTo(form)
    assert denoise.isVisibleTo(form)
    assert form.fit.text() == "Fit MNF"
    denoise.setValue(3)
    edges.setCurrentIndex(1)
    assert form.fields.value() == PcaConfig(method="mnf", edges="skip", denoise=3)
    assert "--denoise 3" in form.recipe().command
    method.setCurrentIndex(method.findText("PCA"))
    assert form.fields.value() == PcaConfig(), "a PCA is fitted without what it refuses"
    form.fields.setValue(PcaConfig(method="mnf", denoise=2))
    assert (denoise.value(), denoise.isVisibleTo(form)) == (2, True)
    form.fields.setValue(PcaConfig())
    assert not denoise.isVisibleTo(form)


def test_a_pca_is_called_pca_and_an_mnf_mnf(qtbot, bench):
    """Else components ordered by noise would pass for those ordered by variance."""
    form = bench.forms["explore"]
    form.fields.setValue(PcaConfig(bands=12, components=4))
    fitted(qtbot, bench, form.fit)
    assert form.status.text().startswith("PCA ")
    assert form.explained.text().startswith("PC1 ")
    assert form.images.text() == "PC images"
    assert shown_components(qtbot, bench, "beans PCs") == "PC 1 of 4"
    form.fields.setValue(PcaConfig(bands=12, components=3, method="mnf"))
    fitted(qtbot, bench, form.fit)
    assert form.status.text().startswith("MNF ")
    assert form.explained.text().startswith("MNF1 ")
    assert form.images.text() == "MNF images"
    assert shown_components(qtbot, bench, "beans MNF components") == "MNF 1 of 3"
    assert "beans PCs" not in bench.desk.viewer.layers
    (bench.desk.project.inlet_folder() / "cubes.npy").unlink()
    form.refresh()
    assert form.status.text() == "1 cube came after the MNF: fit it again."


def test_the_training_free_projection_is_one_click(qtbot, bench, project):
    """Else the map without training could be had, but its components not be looked at."""
    form = bench.forms["explore"]
    fitted(qtbot, bench, form.training_free)
    qtbot.waitUntil(lambda: "9 components" in form.explained.text(), timeout=5000)
    found = project.projection(bench.desk.project.inlet)
    assert (found.method, found.scaling, len(found.components)) == ("mnf", "standardise", 9)
    assert form.fields.value() == PcaConfig.training_free(12, 9)
    assert form.done.command.endswith("pca " + str(project.folder) + " --training-free")
    compile(form.done.python, "recipe", "exec")
    assert run(fit_pca(bench.desk.project, form.fields.value()))["inlet"] == bench.desk.project.inlet
