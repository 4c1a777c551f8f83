"""The panel that prepares spectra, in a real window: bands are judged and turned over, steps added, moved and saved."""

from __future__ import annotations

import pytest

from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.prepare import PreparePanel


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
    qtbot.addWidget(host)
    host.resize(420, 900)
    host.show()
    host.desk.open_project(project)
    host.desk.set_cube("beans")
    yield host.panel
    qtbot.waitUntil(lambda: not host.desk.busy and not host.jobs.running, timeout=20000)


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
