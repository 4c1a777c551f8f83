"""Comfort: what is kept between starts, keys, tooltips, colours, small windows, copied steps, and progress on all that takes long."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.qt.threading import GeneratorWorker
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QAction,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollBar,
    QShortcut,
    QTabBar,
    QWidget,
)
from typer.testing import CliRunner

from napari_hsi_ssl.cli import app
from napari_hsi_ssl.config import DistilConfig, PatchConfig, PcaConfig, PretrainConfig
from napari_hsi_ssl.gui import contributions, layers
from napari_hsi_ssl.gui.activity import Work, activity
from napari_hsi_ssl.gui.busy import BusyRow
from napari_hsi_ssl.gui.forms.pieces import BAD, CAREFUL, GOOD, QUIET, Words, primary
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.memory import memory_for, settings_path
from napari_hsi_ssl.gui.palette import LEAST_CONTRAST, legible, palette
from napari_hsi_ssl.gui.plots.theme import Theme, contrast
from napari_hsi_ssl.gui.workbench import Workbench, open_workbench
from napari_hsi_ssl.progress import Progress
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps import run
from napari_hsi_ssl.steps.labels import save_painted

CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider, QAbstractItemView)


@pytest.fixture
def start(qtbot):
    """Start the workbench as often as a test likes, each time on another viewer without a window."""
    viewers: list[ViewerModel] = []

    def started(shown: bool = False) -> Workbench:
        viewers.append(ViewerModel())
        workbench = Workbench(viewers[-1])
        qtbot.addWidget(workbench)
        if shown:
            workbench.show()
        return workbench

    yield started
    GeneratorWorker.await_workers(30_000)


@pytest.fixture(autouse=True)
def _dark():
    """Every test begins and ends with the dark theme."""
    palette.show("dark")
    yield
    palette.show("dark")


def settled(qtbot: Any, bench: Workbench) -> None:
    desk = bench.desk
    qtbot.waitUntil(lambda: not desk.busy and (not desk.cube or layers.find(desk.viewer, "rgb", desk.cube) is not None), timeout=20000)


# -- kept between starts ------------------------------------------------------------------------------------------------


def edit(bench: Workbench, form: str, name: str, value: Any) -> None:
    bench.forms[form].fields.editors[name].widget.setValue(value)


def test_settings_of_the_forms_are_kept(start):
    """Who always cuts patches of 8 should not have to say so at every start."""
    bench = start()
    edit(bench, "patches", "size", 8)
    edit(bench, "explore", "components", 7)
    bench.forms["train"].pretrain.editors["epochs"].widget.setValue(33)
    memory_for(bench.desk).save()
    again = start()
    assert again.forms["patches"].fields.value() == PatchConfig(size=8)
    assert again.forms["explore"].fields.value() == PcaConfig(components=7)
    assert again.forms["train"].pretrain.value() == PretrainConfig(epochs=33)
    assert again.forms["train"].distil.value() == DistilConfig()


def test_back_to_the_defaults(start):
    bench = start()
    edit(bench, "patches", "size", 8)
    bench.forms["patches"].back_to_defaults()
    assert bench.forms["patches"].fields.value() == PatchConfig()
    memory_for(bench.desk).save()
    assert start().forms["patches"].fields.value() == PatchConfig()


def test_what_a_project_notes_wins(start, project, qtbot):
    """A project was cut with 12: the form must say so, whatever was typed into another project."""
    project.note("patches", {"settings": PatchConfig(size=12).model_dump()})
    bench = start()
    edit(bench, "patches", "size", 8)
    memory_for(bench.desk).save()
    again = start()
    again.desk.open_project(Project.open(project.folder))
    settled(qtbot, again)
    assert again.forms["patches"].fields.value().size == 12
    # And what the project says is not taken for a wish of the user's.
    memory_for(again.desk).save()
    assert start().forms["patches"].fields.value().size == 8


def test_recent_projects_folders_and_the_plot(start, project, qtbot, tmp_path):
    bench = start()
    bench.desk.open_project(project)
    settled(qtbot, bench)
    memory = memory_for(bench.desk)
    memory.used("cubes", tmp_path / "raw" / "x.hdr")
    memory.opened(tmp_path / "gone")
    memory.save()
    again = start()
    kept = memory_for(again.desk)
    assert kept.recent == [project.folder]
    assert kept.folder("cubes") == str(tmp_path / "raw")
    assert kept.folder("exports") == ""
    cubes = again.forms["cubes"]
    assert cubes.recent.isEnabled()
    cubes._list_recent()
    assert [act.toolTip() for act in cubes.recent_menu.actions()] == [str(project.folder)]
    cubes.recent_menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: again.desk.project is not None, timeout=20000)
    settled(qtbot, again)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1, 2]",
        '{"forms": 3, "folders": [], "projects": {"recent": 7}}',
        '{"forms": {"Patches: PatchConfig": {"size": -1, "no": 2}}}',
        "[" * 100000,
        "\0\1\2",
    ],
)
def test_a_damaged_file_never_hurts(start, content):
    settings_path().write_text(content, encoding="utf-8")
    bench = start()
    assert bench.forms["patches"].fields.value() == PatchConfig()
    memory = memory_for(bench.desk)
    assert memory.recent == []
    assert memory.folder("cubes") == ""
    assert bench.message.text() == memory.trouble
    assert bool(memory.trouble) == (not content.startswith('{"forms'))
    edit(bench, "patches", "size", 9)
    memory.save()
    assert json.loads(settings_path().read_text())["forms"]["Patches: PatchConfig"] == {"size": 9}


def test_a_file_that_cannot_be_written_costs_one_warning(start, tmp_path, monkeypatch, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("HSI_SETTINGS", str(blocked / "window.json"))
    bench = start()
    for size in (9, 10):
        edit(bench, "patches", "size", size)
        memory_for(bench.desk).save()
    assert memory_for(bench.desk).trouble
    assert len([record for record in caplog.records if "window.json" in record.getMessage()]) == 1


def test_two_windows_do_not_forget_for_each_other(start):
    first, second = start(), start()
    memory_for(first.desk).put("folders", "cubes", "/somewhere")
    memory_for(second.desk).put("projects", "recent", ["/p"])
    memory_for(first.desk).save()
    memory_for(second.desk).save()
    kept = json.loads(settings_path().read_text())
    assert kept["folders"] == {"cubes": "/somewhere"}
    assert kept["projects"] == {"recent": ["/p"]}


def test_cube_bound_settings_are_not_remembered(start):
    """A reference pixel of yesterday's cube would mask today's by chance."""
    bench = start()
    form = bench.forms["mask and labels"]
    value = form.fields.value()
    form._remember("x", value.parse({**value.model_dump(), "at": [[3, 4]], "low": 0.5, "max_angle": 0.2}))
    assert memory_for(bench.desk).get("forms", "x") == {"max_angle": 0.2}


# -- the first start ----------------------------------------------------------------------------------------------------


def test_an_empty_window_says_what_to_do_and_the_sample_is_one_click_away(start, qtbot, monkeypatch):
    bench = start(shown=True)
    assert bench.lead.text().startswith("Start here")
    assert "\n" not in bench.lead.text()
    asked = []
    monkeypatch.setattr(bench.forms["cubes"], "add_sample", asked.append)
    bench.sample.click()
    assert asked == ["indian_pines"]
    for name in ("mask and labels", "explore", "patches", "train", "classify"):
        assert "form 1" in bench.forms[name].standing().words, name


def test_which_array_is_asked_for_in_the_form_when_the_workbench_is_open(viewer, qtbot, tmp_path):
    """A dialog over a window that has a place for the question would block all of it."""
    bench = open_workbench(viewer, explorer=False)
    bench.open("mask and labels")
    assert contributions.ask_for_array(tmp_path / "two.mat", ("cube", "other")) is None
    cubes = bench.forms["cubes"]
    assert bench.opened is cubes
    assert cubes.choice_box.isVisibleTo(cubes)
    assert [cubes.choice.itemText(index) for index in range(cubes.choice.count())] == ["cube", "other"]


# -- keys and tooltips --------------------------------------------------------------------------------------------------


def controls(root: QWidget) -> list[QWidget]:
    """Return what a user can press, turn or type into; not the parts that Qt makes inside such a thing."""
    found = []
    for widget in root.findChildren(QWidget):
        if not isinstance(widget, CONTROLS) or isinstance(widget, QScrollBar | QTabBar):
            continue
        inside = widget.parentWidget()
        while inside is not None and inside is not root and not isinstance(inside, (*CONTROLS, QTabBar)):
            inside = inside.parentWidget()
        if inside is root or inside is None:
            found.append(widget)
    return found


def test_every_control_has_a_tooltip(viewer, qtbot, project):
    from napari_hsi_ssl.gui.workbench import open_explorer

    bench = open_workbench(viewer)
    explorer = open_explorer(viewer)
    bare = [described(widget) for root in (bench, explorer) for widget in controls(root) if not tooltip(widget)]
    assert not bare, "\n".join(bare)
    assert len(controls(bench)) > 100


def described(widget: QWidget) -> str:
    return f"{type(widget).__name__} {getattr(widget, 'text', str)()!r} in {type(widget.parentWidget()).__name__}"


def tooltip(widget: QWidget) -> str:
    """Return the tooltip that a user sees: the widget's, or that of what it is a part of."""
    while widget is not None and not widget.toolTip() and type(widget).__module__.startswith(("superqt", "pyqtgraph")):
        widget = widget.parentWidget()
    parent = widget.parentWidget() if widget is not None else None
    own = widget.toolTip() if widget is not None else ""
    composed = parent is not None and type(parent).__module__.startswith(("superqt", "pyqtgraph"))
    return own or (tooltip(parent) if composed else "")


def keys_of(root: QWidget) -> list[tuple[str, str]]:
    """Return (keys, whose) of every shortcut below a widget that counts in the whole window."""
    window_wide = {Qt.ShortcutContext.WindowShortcut, Qt.ShortcutContext.ApplicationShortcut}
    found = [(shortcut.key().toString(), shortcut.objectName()) for shortcut in root.findChildren(QShortcut) if shortcut.context() in window_wide]
    found += [(button.shortcut().toString(), button.text()) for button in root.findChildren(QAbstractButton)]
    found += [(keys.toString(), act.text()) for act in root.findChildren(QAction) for keys in act.shortcuts()]
    return [(keys, whose) for keys, whose in found if keys]


def test_no_shortcut_is_taken_twice(viewer, qtbot):
    """Qt runs neither of two equal shortcuts, and says nothing."""
    from napari.settings import get_settings

    from napari_hsi_ssl.gui.workbench import open_explorer

    bench = open_workbench(viewer)
    explorer = open_explorer(viewer)
    ours = [*keys_of(bench), *keys_of(explorer)]
    assert {"Ctrl+Return", "Ctrl+Alt+C", "Ctrl+Alt+Y", "Ctrl+Alt+K", *(f"Ctrl+Alt+{number}" for number in range(1, 7))} <= {keys for keys, _ in ours}
    names = [keys for keys, _ in ours]
    assert len(names) == len(set(names)), sorted(ours)
    window = viewer.window._qt_window
    napari_s = {QKeySequence(str(keys)).toString() for bindings in get_settings().shortcuts.shortcuts.values() for keys in bindings}
    inside = set(bench.findChildren(QAction)) | set(explorer.findChildren(QAction))
    menus = {keys.toString() for act in window.findChildren(QAction) if act not in inside for keys in act.shortcuts()}
    assert not set(names) & (napari_s | menus), set(names) & (napari_s | menus)


def test_ctrl_return_presses_the_main_button_and_esc_cancels(start, qtbot):
    bench = start(shown=True)
    bench.activateWindow()
    patches = bench.forms["patches"]
    bench.open("patches")
    bench._run()
    assert "form 1" in patches.words.text(), "it must say why nothing happens"
    pressed = []
    patches.cut.clicked.disconnect()
    patches.cut.clicked.connect(lambda: pressed.append(True))
    patches.cut.setEnabled(True)
    bench._run()
    assert pressed == [True]

    def endless():
        while True:
            time.sleep(0.01)
            yield Progress(message="on and on")

    patches.run(endless(), None, "working", writes=False)
    assert patches.running
    qtbot.keyClick(bench, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not patches.running, timeout=5000)
    assert "Cancelled" in patches.words.text()


def test_the_list_of_shortcuts(start):
    bench = start(shown=True)
    bench.help.click()
    told = " ".join(label.text() for label in bench.shortcuts.findChildren(QLabel))
    for keys in ("Ctrl+Alt+1", "Ctrl+Return", "Esc", "Ctrl+Alt+C", "Ctrl+Alt+Y"):
        assert keys in told
    assert not bench.shortcuts.isModal()
    bench.shortcuts.close()


# -- copied steps -------------------------------------------------------------------------------------------------------


def test_what_is_copied_does_what_the_form_does(start, project, qtbot):
    """The line on the clipboard gives the patches that the button gives."""
    bench = start(shown=True)
    form = bench.forms["patches"]
    bench.open("patches")
    bench._copy("command")
    assert "nothing to copy" in form.words.text()
    bench.desk.open_project(project)
    settled(qtbot, bench)
    form.fields.setValue(PatchConfig(size=4, coverage=0.25))
    bench._copy("command")
    assert form.copies[0].text() == "Copied ✓"
    words = shlex.split(QApplication.clipboard().text())
    assert words == ["napari-hsi-ssl", "patches", str(project.folder), "--size", "4", "--coverage", "0.25"]
    form.cut.click()
    settled(qtbot, bench)
    made = Project.open(project.folder).noted("patches")
    done = CliRunner().invoke(app, [*words[1:], "--json"])
    assert json.loads(done.stdout.splitlines()[-1])["patches"] == made["patches"]
    bench._copy("python")
    space: dict[str, Any] = {}
    exec(QApplication.clipboard().text(), space)
    assert space["report"]["patches"] == made["patches"]


def test_every_form_can_be_copied(start, project, qtbot):
    save = np.zeros((24, 20), dtype=np.int32)
    save[:4] = 1
    run(save_painted(project, "beans", save, {1: "bean"}))
    bench = start()
    bench.desk.open_project(project)
    settled(qtbot, bench)
    found = {name: form.recipe() for name, form in bench.forms.items()}
    assert {name: made.verb for name, made in found.items() if made is not None} == {
        "cubes": "new", "mask and labels": "mask", "explore": "pca", "patches": "patches", "train": "pretrain",
        "classify": "classify",
    }  # fmt: skip
    bench.forms["train"].kinds.setCurrentIndex(1)
    assert bench.forms["train"].recipe().verb == "distil"
    mask = bench.forms["mask and labels"]
    mask.tabs.setCurrentIndex(mask.tabs.indexOf(mask.labels))
    assert mask.recipe().command.endswith(f"--cube beans --from {project.labels_path('beans')}")
    for form in bench.forms.values():
        assert form.copies, form.title
    cubes = bench.forms["cubes"]
    assert cubes.recipe().arguments == (str(project.folder), *(str(entry.path) for entry in project.entries.values()))
    cubes._crop((1, 2, 9, 9))
    settled(qtbot, bench)
    qtbot.waitUntil(lambda: cubes.done is not None, timeout=5000)
    assert cubes.done.command.endswith("--cube beans --box 1,2,9,9")
    cubes.copies[0]._fill()
    assert any("the last step (crop)" in act.text() for act in cubes.copies[0].menu_of_ways.actions())


# -- colours ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dark", "light"])
def test_words_can_be_read_in_both_themes(qtbot, name):
    palette.show(name)
    theme = Theme.named(name)
    for colour in (GOOD, BAD, CAREFUL, QUIET, "#d0d6dc"):
        label = Words(colour)
        qtbot.addWidget(label)
        shown = re.search(r"color: (#[0-9a-f]{6})", label.styleSheet())
        assert contrast(shown[1], theme.background) >= LEAST_CONTRAST, colour
    button = primary("Go", "go")
    qtbot.addWidget(button)
    for ground, ink in re.findall(r"background: (#[0-9a-f]{6}); color: (\S+?);", button.styleSheet()):
        assert contrast("#ffffff" if ink == "white" else ink, ground) >= LEAST_CONTRAST, (ground, ink)


def test_colours_follow_the_theme_of_the_viewer(start):
    bench = start()
    label = bench.forms["cubes"].status
    dark = label.styleSheet()
    bench.desk.viewer.theme = "light"
    assert label.styleSheet() != dark
    assert palette.ink(QUIET) in label.styleSheet()
    assert palette.ink(GOOD) != GOOD
    bench.desk.viewer.theme = "dark"
    assert label.styleSheet() == dark


def test_saying_the_same_again_restyles_nothing(start, monkeypatch):
    """A style sheet on refresh costs a window tens of milliseconds each time."""
    bench = start()
    bench.forms["cubes"].say("one")
    monkeypatch.setattr(QLabel, "setStyleSheet", lambda *_: pytest.fail("restyled"))
    bench.forms["cubes"].say("two")


def test_legible_reaches_its_contrast_from_any_colour():
    for ground in ("#23242b", "#ebe7e6", "#000000", "#ffffff", "#808080"):
        for colour in ("#000000", "#ffffff", "#7f7f7f", "#ff0000", "#f0c24f"):
            assert contrast(legible(colour, ground), ground) >= LEAST_CONTRAST or ground == "#808080"


# -- progress -----------------------------------------------------------------------------------------------------------


def test_whatever_takes_long_is_told_with_time_left_and_can_be_cancelled(qtbot):
    row = BusyRow()
    qtbot.addWidget(row)
    owner = QWidget()
    qtbot.addWidget(owner)
    jobs = Jobs(owner)

    def slow():
        for done in range(10**6):
            time.sleep(0.005)
            yield Progress(done, 10**6, "counting")

    job = jobs.start(slow(), label="a long read")
    assert not row.isVisibleTo(None)
    qtbot.waitUntil(lambda: not row.isHidden() and " left" in row.words.toolTip(), timeout=8000)
    assert "a long read: counting" in row.words.toolTip()
    row.cancel.click()
    qtbot.waitUntil(lambda: not job.running and row.isHidden(), timeout=5000)
    assert activity.idle


def test_what_has_a_bar_of_its_own_is_not_told_twice(qtbot):
    shown = Work("seen", lambda: None, shown=lambda: True, since=0.0)
    hidden = Work("hidden", lambda: None, shown=lambda: False, since=1.0)
    for work in (shown, hidden):
        activity.begin(work)
    try:
        assert activity.longest() is hidden
    finally:
        for work in (shown, hidden):
            activity.end(work)


def test_jobs_of_a_widget_that_goes_are_forgotten(qtbot):
    owner = QWidget()
    jobs = Jobs(owner)

    def waits():
        while True:
            time.sleep(0.01)
            yield Progress()

    jobs.start(waits(), label="waiting")
    assert not activity.idle
    owner.deleteLater()
    qtbot.waitUntil(lambda: activity.idle, timeout=5000)
    GeneratorWorker.await_workers(30_000)


# -- small windows, large letters ---------------------------------------------------------------------------------------

_RENDER = """
import sys
from pathlib import Path
import napari
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QAbstractButton, QApplication, QCheckBox, QLabel
from napari_hsi_ssl.gui.forms.pieces import Elided
from napari_hsi_ssl.gui.workbench import open_explorer, open_workbench
from napari_hsi_ssl.project import Project

viewer = napari.Viewer(show=True)
bench = open_workbench(viewer)
window = viewer.window._qt_window
window.resize(1280, 800)
bench.desk.open_project(Project.open(Path(sys.argv[1])))

def spin(rounds=60):
    import time
    for _ in range(rounds):
        QApplication.processEvents()
        time.sleep(0.01)

bad = []
for section in bench.sections:
    section.header.setChecked(True)
    spin()
    if window.width() > 1280:
        bad.append(f"{section.form.title}: the window is {window.width()} wide")
    view = bench.scroll.viewport()
    if bench.scroll.widget().width() > view.width():
        bad.append(f"{section.form.title} is {bench.scroll.widget().width()} wide in a dock of {view.width()}")
    if bench.scroll.widget().height() > view.height() and not bench.scroll.verticalScrollBar().isVisible():
        bad.append(f"{section.form.title} does not scroll")
    for widget in section.form.findChildren(QAbstractButton) + section.form.findChildren(QLabel):
        if not widget.isVisible() or not widget.text() or (isinstance(widget, QLabel) and (widget.wordWrap() or isinstance(widget, Elided))):
            continue
        needed = max(QFontMetrics(widget.font()).horizontalAdvance(line) for line in widget.text().split("\\n"))
        if needed > widget.width():
            bad.append(f"{section.form.title}: {widget.text()!r} needs {needed}, has {widget.width()}")
        right = widget.mapTo(bench.scroll.widget(), widget.rect().topRight()).x()
        if right > view.width():
            bad.append(f"{section.form.title}: {widget.text()!r} ends at {right} of {view.width()}")
print("\\n".join(bad))
viewer.close()
sys.stdout.flush()
import os
os._exit(1 if bad else 0)
"""


@pytest.mark.parametrize("scale", ["1", "2"])
def test_nothing_is_cut_off(project, tmp_path, scale):
    """1280×800 is a small laptop, 200 % what a projector or tired eyes need."""
    environment = {**os.environ, "QT_SCALE_FACTOR": scale, "HSI_SETTINGS": str(tmp_path / "none.json")}
    words = [sys.executable, "-W", "ignore", "-c", _RENDER, str(project.folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1500:]
