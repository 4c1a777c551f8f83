"""White and dark reference in the first form: offered where they lie beside a cube, with panel and exposures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_hsi_ssl.cubes.cube import as_cube
from napari_hsi_ssl.cubes.writers import write_envi_cube
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.gui.forms.fields import fold
from tests.gui.conftest import add_busy, write_cube


@pytest.fixture
def form(qtbot):
    viewer = ViewerModel()
    one = CubesForm(viewer)
    add_busy(qtbot, one, lambda: not one.desk.busy and not one.jobs.running)
    yield one
    GeneratorWorker.await_workers(30_000)


@pytest.fixture
def leaf(tmp_path):
    """A cube with references named as Specim's cameras name them."""
    folder = tmp_path / "raw" / "scan"
    for name, value in (("WHITEREF_leaf", 2000), ("DARKREF_leaf", 10)):
        values = np.full((3, 20, 12), value, np.uint16)
        write_envi_cube(folder / f"{name}.hdr", as_cube(values, np.linspace(450, 900, 12), "dn", name))
    return write_cube(folder / "leaf.hdr")


def test_references_beside_a_cube_are_offered_with_panel_and_exposures(form, leaf, qtbot):
    """A cube that is calibrated without a word, or is not although its references lie there, is the wrong cube."""
    form.bring([leaf])
    qtbot.waitUntil(lambda: form.beside_box.isVisibleTo(form), timeout=10000)
    fields = form.references
    assert [Path(field.text()).name for field in (fields.white, fields.dark)] == ["WHITEREF_leaf.hdr", "DARKREF_leaf.hdr"]
    assert "leaf.hdr" in fields.words.text()
    assert form.project is None  # nothing is added before the user says how
    fields.panel.setText("0.5")
    fields.exposures["cube"].setText("none")
    form.calibrated.click()
    assert "exposure time of the cube is 'none'" in form.words.text()
    assert form.beside_box.isVisibleTo(form)
    fields.exposures["cube"].setText("8")
    fields.exposures["white"].setText("4")
    form.calibrated.click()
    qtbot.waitUntil(lambda: form.project is not None and "leaf" in form.project.entries, timeout=10000)
    noted = form.project.entry("leaf").calibration
    assert noted["panel"] == 0.5
    assert noted["exposure"] == [8, 4, None]
    raw = np.asarray(form.project.raw("leaf").data, dtype=np.float64)
    np.testing.assert_allclose(np.asarray(form.project.cube("leaf").data), 0.5 * (raw - 10) / (2000 - 10) * 4 / 8, atol=2e-4)
    assert fields.empty
    assert not form.beside_box.isVisibleTo(form)
    assert "--references auto" in form.done.command
    assert "--exposure 8,4," in form.done.command


def test_a_folder_can_be_added_as_it_was_recorded(form, leaf, qtbot):
    form.bring([leaf.parent])
    qtbot.waitUntil(lambda: form.beside_box.isVisibleTo(form), timeout=10000)
    form.recorded.click()
    qtbot.waitUntil(lambda: form.project is not None and list(form.project.entries) == ["leaf"], timeout=10000)
    assert form.project.entry("leaf").calibration is None


def test_what_the_user_chose_is_not_asked_again(form, leaf, qtbot):
    form.references.white.setText(str(leaf.parent / "WHITEREF_leaf.hdr"))
    form.bring([leaf])
    qtbot.waitUntil(lambda: form.project is not None and "leaf" in form.project.entries, timeout=10000)
    assert set(form.project.entry("leaf").calibration) == {"white"}
    assert form.references.white.text()  # kept for the next files


def test_what_appears_in_an_open_fold_has_its_room(qtbot):
    """Words and plots that came after it was opened lay upon each other."""
    host, inside, late = QWidget(), QWidget(), QLabel("later")
    late.setMinimumHeight(300)
    late.hide()
    layout = QVBoxLayout(inside)
    layout.addWidget(QLabel("first"))
    layout.addWidget(late)
    folded = fold("Fold", inside)
    QVBoxLayout(host).addWidget(folded)
    qtbot.addWidget(host)
    host.resize(300, 800)
    host.show()
    folded.toggleButton().click()
    qtbot.waitUntil(lambda: inside.height() > 10)
    late.show()
    qtbot.waitUntil(lambda: inside.height() >= 320, timeout=3000)
    folded.toggleButton().click()
    qtbot.waitUntil(lambda: inside.height() == 0, timeout=3000)
