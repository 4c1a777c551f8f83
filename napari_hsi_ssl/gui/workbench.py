"""The workbench: the six forms in the order of the work, the next sensible one open and marked; and the explorer below the canvas."""

from __future__ import annotations

import gc
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QShortcut, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.busy import BusyRow
from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.farewell import when_destroyed
from napari_hsi_ssl.gui.forms.base import Form
from napari_hsi_ssl.gui.forms.classify import ClassifyForm
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.gui.forms.explore import ExploreForm
from napari_hsi_ssl.gui.forms.mask import MaskForm
from napari_hsi_ssl.gui.forms.patches import PatchesForm
from napari_hsi_ssl.gui.forms.pieces import BAD, CAREFUL, GOOD, QUIET, boxed, plain_button, row, words_label
from napari_hsi_ssl.gui.forms.train import TrainForm
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.gui.let_go import let_go
from napari_hsi_ssl.gui.memory import memory_for
from napari_hsi_ssl.gui.palette import palette
from napari_hsi_ssl.gui.shortcuts import COMMAND, FORM_KEYS, LIST, PYTHON, RUN, Keys, ShortcutList
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.runs.compute import shared_process

if TYPE_CHECKING:
    import napari.viewer

FORMS: tuple[type[Form], ...] = (CubesForm, MaskForm, ExploreForm, PatchesForm, TrainForm, ClassifyForm)
WIDTH = 420
_LEAST_WIDTH, _MOST_WIDTH = 380, 460
"""Of the dock in pixels: beside it napari's own docks and the canvas must fit into 1280."""
TITLE = "HSI workbench"
_MARKS = {"done": ("✓", GOOD), "ready": ("●", CAREFUL), "blocked": ("○", QUIET)}


class Section(QFrame):
    """A form that unfolds below its title."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.header = QToolButton()
        self.header.setText(f" {form.number}  {form.title}")
        self.header.setCheckable(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setArrowType(Qt.ArrowType.RightArrow)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        keys = FORM_KEYS.format(number=form.number)
        self.header.setShortcut(keys)
        self.header.setToolTip(f"Unfold or fold ({keys})")
        self.header.setStyleSheet("QToolButton { font-weight: bold; border: none; padding: 5px; text-align: left; }")
        self.header.toggled.connect(self._toggled)
        self.mark = QLabel()
        self.mark.setFixedWidth(18)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 6, 0)
        top.addWidget(self.header, 1)
        top.addWidget(self.mark)
        self.edge = QFrame()
        self.edge.setFixedWidth(3)
        self.edge.setStyleSheet("background: #0072b2;")
        kept = self.edge.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.edge.setSizePolicy(kept)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(form)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.edge)
        layout.addLayout(column, 1)
        form.hide()
        self.tell(False)

    def _toggled(self, on: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self.form.setVisible(on)

    def tell(self, is_next: bool) -> None:
        """Show where the step stands, and mark it when it is the next one."""
        standing = self.form.standing()
        sign, colour = _MARKS[standing.state]
        # Colours as text and a bar that comes and goes: another style sheet would be applied to the whole form below, 30 ms each time.
        self.mark.setText(f'<span style="color: {palette.ink(colour)}">{sign}</span>')
        self.mark.setToolTip(standing.words)
        self.edge.setVisible(is_next)


class Workbench(QWidget):
    """The dock that holds the six forms.

    Parameters
    ----------
    napari_viewer : Viewer

    Attributes
    ----------
    forms : dict of str to Form
        By title in lower case: "cubes", "mask and labels", "explore", "patches", "train", "classify".
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.desk = desk_for(napari_viewer)
        shared_process(background=True)  # starts nothing yet: what it starts later shall leave the window the processor
        self._jobs = Jobs(self)
        self._jobs.call(_warm_up, on_result=_settle)
        when_destroyed(self, gc.unfreeze)
        self.message = words_label(GOOD)
        self.message.setToolTip("What happened last")
        self.hush = plain_button("×", "Take these words away")
        self.hush.setFixedWidth(26)
        self.hush.clicked.connect(self._hush)
        self._level = ""
        line = row(self.message, self.hush)
        line.setContentsMargins(8, 4, 6, 0)
        line.setStretch(0, 1)
        self.said = boxed(line)
        self.said.hide()
        self.sections = [Section(form(napari_viewer)) for form in FORMS]
        self.forms = {section.form.title.lower(): section.form for section in self.sections}
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for section in self.sections:
            layout.addWidget(section)
            section.header.toggled.connect(lambda on, section=section: self._toggled(section, on))
            section.form.standing_changed.connect(self._tell)
        layout.addStretch(1)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setWidget(inside)
        inside.installEventFilter(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(2)
        outer.addLayout(self._top())
        outer.addWidget(self.said)
        outer.addWidget(self.scroll)
        self.busy = BusyRow()
        outer.addWidget(self.busy)
        self.setMinimumWidth(_LEAST_WIDTH)
        self._fit()
        self.desk.message.connect(self._say)
        self.desk.step_done.connect(self._mended)
        self.desk.project_changed.connect(self._mended)
        self.desk.project_left.connect(let_go)
        self.desk.cube_changed.connect(self._mended)
        palette.changed.connect(self._tell)
        self._tell()
        trouble = memory_for(self.desk).trouble
        if trouble:
            self._say(trouble, "warning")

    def _top(self) -> QHBoxLayout:
        """Return the line that says what comes next, with the sample on a first start and the list of shortcuts."""
        self.lead = words_label(QUIET)
        self.lead.setToolTip("What comes next")
        self.sample = plain_button("Try a sample", "Make a project of Indian Pines, a real AVIRIS scene with labels, and show it")
        self.sample.clicked.connect(lambda: self.forms["cubes"].add_sample("indian_pines"))
        self.help = plain_button("?", f"Shortcuts ({LIST.keys})")
        self.help.setFixedWidth(28)
        self.help.clicked.connect(self.show_shortcuts)
        top = QHBoxLayout()
        top.setContentsMargins(8, 6, 6, 2)
        top.setSpacing(6)
        top.addWidget(self.lead, 1)
        top.addWidget(self.sample)
        top.addWidget(self.help)
        acts = ((RUN, self._run), (COMMAND, partial(self._copy, "command")), (PYTHON, partial(self._copy, "python")))
        for keys, act in (*acts, (LIST, self.show_shortcuts)):
            self._shortcut(keys).activated.connect(act)
        return top

    def _shortcut(self, keys: Keys) -> QShortcut:
        shortcut = QShortcut(QKeySequence(keys.keys), self)
        shortcut.setObjectName(keys.words)
        return shortcut

    def show_shortcuts(self) -> None:
        """Open the list of shortcuts; the next click closes it."""
        self.shortcuts = ShortcutList(self)
        self.shortcuts.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.shortcuts.show_below(self.help)

    @property
    def opened(self) -> Form | None:
        """The form that is unfolded."""
        return next((section.form for section in self.sections if section.header.isChecked()), None)

    def _run(self) -> None:
        if self.opened is not None:
            self.opened.run_main()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Cancel what runs at Esc; a key press and no shortcut, so that an editor in a table still closes at it."""
        running = [section.form for section in self.sections if section.form.running]
        if event.key() != Qt.Key.Key_Escape or not running:
            super().keyPressEvent(event)
            return
        for form in running:
            form.cancel()

    def _copy(self, kind: str) -> None:
        form = self.opened
        if form is not None and form.copies:
            seen = next((button for button in form.copies if button.isVisibleTo(form)), form.copies[0])
            seen.copy(kind)

    def sizeHint(self) -> QSize:
        """Ask for room for a form and leave the canvas the rest."""
        return QSize(WIDTH, 700)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Grow with the forms: what a form needs is known only once it is shown in napari's own fonts."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        needed = self.scroll.widget().minimumSizeHint().width() + self.scroll.verticalScrollBar().sizeHint().width()
        if self.minimumWidth() < needed:
            self.setMinimumWidth(min(needed, _MOST_WIDTH))  # beyond it the dock scrolls sideways

    def open(self, name: str) -> None:
        """Unfold a form by its title."""
        for section in self.sections:
            if section.form.title.lower() == name.lower():
                section.header.setChecked(True)

    @property
    def next_step(self) -> Form:
        """The first form that can be used and has not been, or the last one."""
        return next((section.form for section in self.sections if section.form.standing().state == "ready"), self.sections[-1].form)

    def _tell(self) -> None:
        upcoming = self.next_step
        first = self.desk.project is None
        self.sample.setVisible(first)
        self.sample.setEnabled(not self.desk.busy)
        self.lead.setText("Start here: add your cube files below, or try a sample." if first else f"Next: {upcoming.number} {upcoming.title}")
        for section in self.sections:
            section.tell(section.form is upcoming)
        if not any(section.header.isChecked() for section in self.sections):
            self.open(upcoming.title)

    def _toggled(self, section: Section, on: bool) -> None:
        if not on:
            return
        for other in self.sections:
            if other is not section:
                other.header.setChecked(False)
        self.scroll.ensureWidgetVisible(section.header)

    def _say(self, words: str, level: str) -> None:
        if level == "over":
            if self.message.text() == in_window(words):
                self._hush()
            return
        self._level = level
        self.message.set_colour({"error": BAD, "warning": CAREFUL}.get(level, GOOD))
        self.message.setText(in_window(words))
        self.said.setVisible(bool(words))

    def _hush(self, *_: object) -> None:
        self._say("", "")

    def _mended(self, *_: object) -> None:
        """Take away what went wrong before the step that has just succeeded, or on the cube before; news stay."""
        if self._level in {"error", "warning"}:
            self._hush()


def open_workbench(viewer: napari.viewer.Viewer, explorer: bool = True) -> Workbench:
    """Put the workbench on the right of a viewer's window and the explorer below its canvas; a second call finds them again."""
    window = viewer.window
    docked = window.dock_widgets
    if TITLE in docked:
        return docked[TITLE]
    workbench = Workbench(viewer)
    window.add_dock_widget(workbench, name=TITLE, area="right")
    if explorer:
        open_explorer(viewer)
    return workbench


def open_explorer(viewer: napari.viewer.Viewer) -> Any:  # noqa: ANN401 - the explorer's own type
    """Put the explorer (spectra, scatter, training, results) below the canvas."""
    from napari_hsi_ssl.gui.plots.explorer import ExplorerDock

    name = "HSI explorer"
    docked = viewer.window.dock_widgets
    if name in docked:
        return docked[name]
    explorer = ExplorerDock(desk_for(viewer))
    # The workbench is long and the layer list too: the explorer takes the room below the canvas alone.
    window = viewer.window._qt_window
    window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    viewer.window.add_dock_widget(explorer, name=name, area="bottom")
    memory = memory_for(explorer.desk)
    kept = memory.get("window", "explorer tab")
    if isinstance(kept, str):
        explorer.show_plot(kept)
    explorer.currentChanged.connect(partial(_tab_shown, ref(explorer)))
    return explorer


def _tab_shown(explorer: ref[Any], _index: int) -> None:
    this = explorer()
    if this is not None and this.desk.alive:
        memory_for(this.desk).put("window", "explorer tab", this.shown_plot)


def _warm_up() -> None:
    """Import what napari imports at the first layer: done beforehand in a thread, it costs the window nothing (1.1 s otherwise)."""
    for name in ("xarray", "pandas", "pint", "scipy.ndimage"):
        import_module(name)
    # Where numba is installed (umap-learn brings it), napari compiles for seconds at the first mask, labels or map.
    colours = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: "#ffffff"})
    for kind in (np.uint8, np.int32):
        colours.map(np.zeros((2, 2), dtype=kind))


def _settle(_result: object) -> None:
    """Leave what has been loaded by now, some hundred thousand objects, out of Python's search for garbage.

    napari searches at every layer that is taken away, which then costs it some 20 ms instead of 200.
    """
    gc.freeze()
