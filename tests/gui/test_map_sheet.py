"""The maps of all cubes by one run side by side."""

import csv
import os

import numpy as np
from PIL import Image
from qtpy.QtWidgets import QLabel

from napari_hsi_ssl.config import BatchConfig, ClassifyConfig
from napari_hsi_ssl.gui.map_sheet import open_map_sheet
from napari_hsi_ssl.gui.workbench import open_workbench
from napari_hsi_ssl.progress import run
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import batch
from napari_hsi_ssl.steps.batch import classify_many
from napari_hsi_ssl.steps.cubes import new


def three_cubes(folder):
    (folder / "cubes").mkdir()
    for number in range(3):
        draws = np.random.default_rng(number)
        truth = np.kron(draws.permutation(4).reshape(2, 2) % 2, np.ones((20, 26), dtype=int))
        np.save(folder / "cubes" / f"rug {number}.npy", (truth[..., None] * np.arange(1, 6) + draws.normal(size=(40, 52, 5))).astype(np.float32))
    run(new(folder / "project", [folder / "cubes"]))
    project = Project.open(folder / "project")
    labels = (np.load(folder / "cubes" / "rug 0.npy")[..., 4] > 2.5).astype(int) + 1
    project.save_labels("rug 0", labels, {1: "wool", 2: "madder"})
    return Project.open(folder / "project")


def test_all_maps_are_made_shown_opened_and_saved(viewer, qtbot, tmp_path, monkeypatch):
    asked, beside = [], batch._side_by_side
    monkeypatch.setattr(batch, "_side_by_side", lambda *given: asked.append(given[-1]) or beside(*given))
    bench = open_workbench(viewer)
    desk = bench.desk
    desk.open_project(three_cubes(tmp_path))
    bench.open("classify")
    form = bench.forms["classify"]
    qtbot.waitUntil(lambda: desk.cube != "" and form.make.isEnabled(), timeout=20000)
    form.run_box.setCurrentText("spectra")
    form.cubes.setCurrentIndex(1)
    form.how.setValue(BatchConfig(workers=2, memory=64))
    assert form.recipe().options["workers"] == 2
    form.how.folds["How it is computed"].expand(animate=False)
    form.make_maps()
    qtbot.waitUntil(lambda: len(desk.project.maps()) == 3 and not desk.busy, timeout=60000)
    qtbot.waitUntil(lambda: any("3 maps saved" in label.text() for label in form.findChildren(QLabel)), timeout=5000)
    assert asked == [BatchConfig(workers=2, memory=64)]
    form.make_maps()
    qtbot.waitUntil(lambda: not desk.busy, timeout=60000)
    assert any("there already and would come out the same" in label.text() for label in form.findChildren(QLabel))
    form.sheet.click()
    sheet = desk.map_sheet
    qtbot.waitUntil(lambda: sheet.list.count() == 3, timeout=20000)
    first = sheet.list.item(1)
    assert first.text().startswith("rug 1\n")
    assert "wool" in first.text()
    sheet._open(first)
    qtbot.waitUntil(lambda: desk.cube == "rug 1", timeout=20000)
    sheet.save_to(tmp_path / "sheet.png")
    qtbot.waitUntil(lambda: (tmp_path / "sheet.png").exists() and sheet.save.isEnabled(), timeout=20000)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 360
    sheet.save_to(tmp_path / "areas.csv")
    qtbot.waitUntil(lambda: (tmp_path / "areas.csv").exists() and sheet.save.isEnabled(), timeout=20000)
    with (tmp_path / "areas.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 6
    assert open_map_sheet(desk) is sheet
    if os.environ.get("HSI_SHOT"):
        viewer.window._qt_window.resize(1500, 950)
        qtbot.wait(1500)
        viewer.window._qt_window.grab().save(os.environ["HSI_SHOT"])


def test_without_maps_the_sheet_says_so(viewer, qtbot, tmp_path):
    project = three_cubes(tmp_path)
    run(classify_many(project, "spectra", ClassifyConfig(k=3), ["rug 0"]))
    bench = open_workbench(viewer)
    bench.desk.open_project(project)
    sheet = open_map_sheet(bench.desk)
    sheet.show_maps("spectra", "linear")
    qtbot.waitUntil(lambda: "no map by spectra and linear yet" in sheet.words.text(), timeout=20000)
    assert not sheet.save.isEnabled()
