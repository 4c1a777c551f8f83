"""The workbench: the six forms in the order of the work, the next sensible one open and marked; and the explorer below the canvas."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.desk import desk_for
from napari_hsi_ssl.gui.forms.base import Form
from napari_hsi_ssl.gui.forms.classify import ClassifyForm
from napari_hsi_ssl.gui.forms.cubes import CubesForm
from napari_hsi_ssl.gui.forms.explore import ExploreForm
from napari_hsi_ssl.gui.forms.mask import MaskForm
from napari_hsi_ssl.gui.forms.patches import PatchesForm
from napari_hsi_ssl.gui.forms.pieces import CAREFUL, GOOD, QUIET, words_label
from napari_hsi_ssl.gui.forms.train import TrainForm
from napari_hsi_ssl.gui.jobs import Jobs
from napari_hsi_ssl.runs.compute import shared_process

if TYPE_CHECKING:
    import napari.viewer

FORMS: tuple[type[Form], ...] = (CubesForm, MaskForm, ExploreForm, PatchesForm, TrainForm, ClassifyForm)
WIDTH = 420
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
        self.header.setShortcut(f"Ctrl+Alt+{form.number}")
        self.header.setToolTip(f"Unfold or fold (Ctrl+Alt+{form.number})")
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
        self.mark.setText(f'<span style="color: {colour}">{sign}</span>')
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
        self._jobs.call(_warm_up)
        self.message = words_label(GOOD)
        self.message.setContentsMargins(8, 4, 8, 0)
        self.message.hide()
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
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.message)
        outer.addWidget(self.scroll)
        bar = self.scroll.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(max(380, inside.minimumSizeHint().width() + bar, *(section.form.minimumSizeHint().width() + bar + 6 for section in self.sections)))
        self.desk.message.connect(self._say)
        self._tell()

    def sizeHint(self) -> QSize:
        """Ask for room for a form and leave the canvas the rest."""
        return QSize(WIDTH, 700)

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
        colour = {"error": "#ff8a80", "warning": CAREFUL}.get(level, GOOD)
        self.message.setStyleSheet(f"color: {colour}; background: transparent;")
        self.message.setText(words)
        self.message.setVisible(bool(words))


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
    return explorer


def _warm_up() -> None:
    """Import what napari imports at the first layer: done beforehand in a thread, it costs the window nothing (1.1 s otherwise)."""
    for name in ("xarray", "pandas", "pint", "scipy.ndimage"):
        import_module(name)
