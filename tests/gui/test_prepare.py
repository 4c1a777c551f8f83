"""The panel that prepares spectra, in a real window: bands are judged and turned over, steps added, moved and saved."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_hsi_ssl.config.chain import AbsorbanceStep, ChainConfig, SavgolStep, SnvStep
from napari_hsi_ssl.gui import mask_layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.prepare import PreparePanel
from napari_hsi_ssl.gui.workbench import open_workbench
from tests.gui.conftest import add_busy


class Host(Form):
    """A form with nothing but the panel."""

    number = 3
    title = "Prepare"

    def build(self) -> None:
        self.panel = PreparePanel(self)
        self.body.addWidget(self.panel)

    def standing(self) -> Standing:
        return Standing("ready", "")


@pytest.fixture
def panel(viewer, project, qtbot):
    host = Host(viewer)
    add_busy(qtbot, host, lambda: not host.desk.busy and not host.jobs.running)
    host.resize(420, 900)
    host.show()
    host.desk.open_project(project)
    host.desk.set_cube("beans")
    return host.panel


def test_steps_are_added_moved_and_saved_with_the_project(panel, project, qtbot):
    panel.kinds.setCurrentIndex(panel.kinds.findData("snv"))
    panel.add.click()
    panel.kinds.setCurrentIndex(panel.kinds.findData("continuum"))
    panel.add.click()
    panel.up.click()
    qtbot.waitUntil(lambda: "12 bands" in panel.words.text(), timeout=20000)
    panel.save.click()
    qtbot.waitUntil(lambda: project.chain.texts() == ("continuum", "snv"), timeout=20000)


def test_bands_are_judged_turned_over_and_saved_for_this_cube(panel, project, qtbot):
    panel.detect.click()
    qtbot.waitUntil(lambda: len(panel.bands.reasons) == 12, timeout=20000)
    panel.bands.turn(3, 4)
    wanted = panel.bands.bad
    assert {3, 4} <= set(wanted)
    panel.apply_bands.click()
    qtbot.waitUntil(lambda: type(project).open(project.folder).entry("beans").bad_bands == wanted, timeout=20000)
    assert project.entry("cubes").bad_bands is None  # another domain


def test_saturated_pixels_leave_the_mask_as_it_is_seen(panel, project, qtbot):
    """Counting changes nothing; leaving out takes what was drawn and not saved along."""
    one = panel.saturated
    top = int(np.asarray(project.raw("beans").data).max())
    at = (np.asarray(project.raw("beans").data) >= top).any(axis=2)
    one.ceiling.setText(str(top))
    one.count.click()
    qtbot.waitUntil(lambda: f"{at.sum()} pixels are saturated (at {top})" in one.words.text(), timeout=20000)
    drawn = np.ones(at.shape, dtype=bool)
    drawn[:3] = False
    mask_layers.show_mask(panel._form.desk.viewer, "beans", drawn, saved=False)
    one.leave.click()
    qtbot.waitUntil(lambda: project.mask("beans") is not None and "out of the mask" in panel._form.words.text(), timeout=20000)
    np.testing.assert_array_equal(project.mask("beans"), drawn & ~at)
    one.ceiling.setText("many")
    one.count.click()
    assert "'many'" in panel._form.words.text()


def test_every_part_can_be_copied(panel, project, qtbot):
    panel.kinds.setCurrentIndex(panel.kinds.findData("snv"))
    panel.add.click()
    commands = []
    for button in (panel.bands_copy, panel.saturated.copies, panel.chain_copy):
        button.copy("command")
        commands.append(QApplication.clipboard().text())
    folder = str(project.folder)
    assert [text.split()[1] for text in commands] == ["badbands", "saturated", "preprocess"]
    assert all(folder in text for text in commands)
    assert commands[0].endswith("--set header")
    assert commands[2].endswith("--step snv")


def test_the_preview_is_of_the_pixel_pinned_last(panel, qtbot):
    qtbot.waitUntil(lambda: "mean of 32 pixels" in panel.words.text(), timeout=20000)
    panel._form.desk.pin("beans", 11, 7)
    qtbot.waitUntil(lambda: "pixel y 11, x 7" in panel.words.text(), timeout=20000)


def test_steps_that_are_seen_are_those_that_are_fitted_with(viewer, project, qtbot):
    """Else a PCA would silently be of spectra prepared otherwise than the form shows."""
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    form = bench.forms["explore"]
    form.fields.setValue(form.fields.value().model_copy(update={"bands": 9, "components": 3}))
    form.prepare.append(SnvStep())
    assert form.prepare.unsaved
    qtbot.waitUntil(form.fit.isEnabled, timeout=10_000)
    form.fit.click()
    qtbot.waitUntil(lambda: project.open(project.folder).inlet is not None and not bench.desk.busy, timeout=30_000)
    assert project.open(project.folder).chain.texts() == ("snv",)
    assert not form.prepare.unsaved


def test_steps_that_make_no_sense_together_are_doubted():
    assert ChainConfig(steps=(SnvStep(), SavgolStep(deriv=1))).doubts() == ()
    assert "follows itself" in ChainConfig(steps=(SnvStep(), SnvStep())).doubts()[0]
    assert "put absorbance first" in ChainConfig(steps=(SnvStep(), AbsorbanceStep())).doubts()[0]
    assert ChainConfig(steps=(AbsorbanceStep(), SnvStep())).doubts() == ()
