"""A project from elsewhere in the window: it opens, names what it may not read, and reads it after one click, without a question for one's own."""

from __future__ import annotations

import shutil

import pytest

from napari_hsi_ssl.errors import UntrustedError
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.steps import cubes

from .conftest import add_busy, write_cube


@pytest.fixture
def form(viewer, qtbot):
    form = CubesForm(viewer)
    add_busy(qtbot, form, lambda: not form.jobs.running and not form.desk.busy)
    form.show()
    return form


@pytest.fixture
def folder(tmp_path):
    write_cube(tmp_path / "cubes" / "one.hdr")
    run(cubes.new(tmp_path / "own", [tmp_path / "cubes"]))
    return tmp_path / "own"


def opened(form, qtbot, folder):
    form.load(folder)
    qtbot.waitUntil(lambda: not form.jobs.running, timeout=30_000)


def test_the_own_project_asks_nothing_and_a_copy_from_elsewhere_asks_once(form, qtbot, folder, tmp_path, monkeypatch):
    opened(form, qtbot, folder)
    assert form.project.folder == folder
    assert form.outside_box.isHidden()
    monkeypatch.setenv("HSI_TRUST", str(tmp_path / "another computer"))
    shutil.copytree(folder, tmp_path / "theirs")
    opened(form, qtbot, tmp_path / "theirs")
    assert form.outside_box.isVisible()
    assert str(tmp_path / "cubes" / "one.hdr") in form.outside_words.text()
    with pytest.raises(UntrustedError):
        form.project.raw("one")
    form.trust.click()
    qtbot.waitUntil(lambda: not form.jobs.running and form.outside_box.isHidden(), timeout=30_000)
    assert form.project.raw("one").shape == (24, 20, 12)


def test_a_project_with_links_that_lead_out_is_opened_after_the_click(form, qtbot, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "masks").symlink_to(tmp_path / "elsewhere")
    opened(form, qtbot, folder)
    assert form.project is None
    assert str(folder / "masks") in form.outside_words.text()
    form.trust.click()
    qtbot.waitUntil(lambda: form.project is not None and not form.jobs.running, timeout=30_000)
    assert form.outside_box.isHidden()
