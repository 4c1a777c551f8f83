"""Training as it happens, in the explorer: curves of one run or of several, the embedding, and runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QListWidgetItem, QStackedWidget, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.gui.plots.comparison import ComparisonView
from napari_hsi_ssl.gui.plots.embedding import EmbeddingView
from napari_hsi_ssl.gui.plots.legend import LegendList
from napari_hsi_ssl.gui.plots.run_curves import RunCurves
from napari_hsi_ssl.gui.plots.theme import Theme
from napari_hsi_ssl.gui.plots.training_curves import QUANTITIES, TrainingCurves

_REDRAW_MS = 200
_COLOURS = 20
_SIDE_WIDTH = 124
_NOTHING = "No run yet: start one in step 5, Train."
_PAGES = {
    "curves": ("Curves", "Loss, accuracies and more over steps; the ticked runs lie over each other"),
    "embedding": ("Embedding", "Where held-out patches lie, as the run in the line above sees them; click a run in the list for another"),
    "compare": ("Compare", "The ticked runs side by side: settings that differ, and figures"),
}


class TrainingPlot(QWidget):
    """The runs of a project: a line on the current one, a list to tick, and three pages."""

    run_asked = Signal(str)
    """The user wants to see a run whose events are not here yet."""
    embedding_asked = Signal(str)
    """The picture of this run's embedding is wanted, anew."""
    comparison_asked = Signal(object)
    """These runs (list of str) are wanted side by side, anew."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._runs: dict[str, RunCurves] = {}
        self._shown: set[str] = set()
        self._current = ""

        self.status = QElidingLabel(_NOTHING)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.curves, self.embedding, self.comparison = TrainingCurves(theme), EmbeddingView(theme), ComparisonView()
        self.pages = QStackedWidget()
        self.page_box = QComboBox()
        self.quantity = QComboBox()
        self.quantity.setToolTip("What is drawn beside the loss")
        for key, (text, _, tooltip) in QUANTITIES.items():
            self.quantity.addItem(text, key)
            self.quantity.setItemData(self.quantity.count() - 1, tooltip, Qt.ItemDataRole.ToolTipRole)
        self.quantity.currentIndexChanged.connect(self._quantity_chosen)
        self.runs = LegendList(checkable=True)
        self.runs.setToolTip("Runs of this project; tick several to compare them, click a ticked one to see how it stands and its embedding")
        self.runs.toggled.connect(self.show_run)
        self.runs.itemClicked.connect(self._clicked)

        # Events come one at a time, a redraw costs more than all of them: so many events, one picture.
        self._timer = QTimer(self, singleShot=True, interval=_REDRAW_MS)
        self._timer.timeout.connect(self.redraw)
        self._lay_out()
        self.set_theme(theme)

    def _lay_out(self) -> None:
        for page, (text, tooltip) in zip((self.curves, self.embedding, self.comparison), _PAGES.values(), strict=True):
            self.page_box.addItem(text)
            self.page_box.setItemData(self.page_box.count() - 1, tooltip, Qt.ItemDataRole.ToolTipRole)
            self.pages.addWidget(page)
        self.page_box.setToolTip("What is shown of the ticked runs")
        self.page_box.currentIndexChanged.connect(self._turn_to)
        side = QVBoxLayout()
        side.setSpacing(3)
        for box in (self.page_box, self.quantity):
            box.setMinimumWidth(_SIDE_WIDTH)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            side.addWidget(box)
        side.addWidget(self.embedding.beside, 3)
        side.addWidget(self.runs, 2)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.pages, 4)
        row.addLayout(side, 1)
        self.embedding.beside.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(2)
        column.addWidget(self.status)
        column.addLayout(row, 1)

    # -- what is shown --------------------------------------------------------------------------------------------------

    def set_theme(self, theme: Theme) -> None:
        """Redraw in other colours."""
        self._theme = theme
        self.curves.set_theme(theme)
        self.embedding.set_theme(theme)
        self.redraw()

    def set_runs(self, states: Mapping[str, str]) -> None:
        """List the runs there are, oldest first, and where they stand; what is known of others is forgotten."""
        self._runs = {name: self._runs.get(name) or RunCurves(name) for name in states}
        for name, state in states.items():
            self._runs[name].state = state
        self._shown &= set(states)
        if self._current not in self._runs:
            self._current = ""
        self.redraw()
        self._ask()

    @property
    def shown(self) -> set[str]:
        """Names of the runs that are drawn."""
        return set(self._shown)

    @property
    def current(self) -> str:
        """The run that the line above and the embedding are of; "" when there is none."""
        return self._current

    def take(self, curves: RunCurves) -> None:
        """Take the whole history of a run, in place of what was known of it."""
        before = self._runs.get(curves.name)
        if curves.heard and (before is None or not before.heard):
            self._shown.add(curves.name)
        if before is not None and curves.state == "running":  # whether anybody trains the folder knows, and the log does not
            curves.state = before.state if before.state != "waiting" else curves.state
        self._runs[curves.name] = curves
        self._heard(curves)

    def add_events(self, run: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Take new events of a run; one that has not been heard of before is shown at once."""
        curves = self._runs.setdefault(run, RunCurves(run))
        if not curves.heard:
            self._shown.add(run)
        events = list(events)
        curves.add(events)
        self._heard(curves)
        if any(event.get("type") == "epoch" for event in events):
            self._ask()

    def _heard(self, curves: RunCurves) -> None:
        if curves.state in {"running", "cancelling"} or not self._current:
            self._set_current(curves.name)
        if not self._timer.isActive():
            self._timer.start()

    def show_run(self, run: str, shown: bool = True) -> None:
        """Show or hide a run; asks for its events where there are none yet."""
        (self._shown.add if shown else self._shown.discard)(run)
        if shown and run in self._runs:
            self._set_current(run)
            if not self._runs[run].heard:
                self.run_asked.emit(run)
        self.redraw()
        if self.page == "compare":
            self._ask()

    def _clicked(self, item: QListWidgetItem) -> None:
        run = item.data(Qt.ItemDataRole.UserRole)
        if run in self._shown:
            self._set_current(run)
            self.redraw()

    def _set_current(self, run: str) -> None:
        if run != self._current:
            self._current = run
            if self.page == "embedding":
                self._ask()

    @property
    def page(self) -> str:
        """The page in front: "curves", "embedding" or "compare"."""
        return list(_PAGES)[self.pages.currentIndex()]

    def _turn_to(self, number: int) -> None:
        self.pages.setCurrentIndex(number)
        self.quantity.setVisible(self.page == "curves")
        self.embedding.beside.setVisible(self.page == "embedding")
        self._ask()

    def _ask(self) -> None:
        """Ask for what the page in front shows."""
        if self.page == "embedding":
            self.embedding_asked.emit(self._current)
        elif self.page == "compare":
            self.comparison_asked.emit([name for name in self._runs if name in self._shown])

    def _quantity_chosen(self) -> None:
        self.curves.choose(str(self.quantity.currentData()))
        self.redraw()

    def colours(self) -> dict[str, str]:
        """Return the colour of every run."""
        base = palette(_COLOURS)
        return {name: self._theme.legible(base[(index + 1) % _COLOURS]) for index, name in enumerate(self._runs)}

    def redraw(self) -> None:
        """Draw what has come."""
        self._timer.stop()
        colours = self.colours()
        self.curves.draw([curves for name, curves in self._runs.items() if name in self._shown], colours)
        self.runs.set_entries((name, name, colours[name], name in self._shown) for name in self._runs)
        current = self._runs.get(self._current)
        self.status.setText(current.status() + (f" · ⚠ {current.message}" if current.message else "") if current else _NOTHING)
        self.status.setToolTip(current.message or current.status() if current else "")
