"""Small widgets that the forms are made of."""

from __future__ import annotations

from typing import Any
from weakref import ref

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLayout, QProgressBar, QPushButton, QSizePolicy, QTabWidget, QVBoxLayout, QWidget

from napari_hsi_ssl.gui.jobs import Update, time_words
from napari_hsi_ssl.gui.palette import palette

GOOD, BAD, CAREFUL, QUIET = "#6cc644", "#ff8a80", "#f0c24f", "#9aa4b0"
"""Colours of words as they look on napari's dark theme; `Words` and `palette.ink` make them legible on others."""
_BLUE = "#0072b2"


class Words(QLabel):
    """A label for sentences in a colour that stays legible when napari's theme changes.

    Parameters
    ----------
    colour : str
        ``#rrggbb`` as chosen for the dark theme.
    """

    def __init__(self, colour: str) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)  # names in sentences come from files
        self.setWordWrap(True)
        self._colour = colour
        self._shown = ""
        self._dress()
        palette.changed.connect(self._dress)

    def set_colour(self, colour: str) -> None:
        """Take another colour."""
        self._colour = colour
        self._dress()

    def _dress(self) -> None:
        ink = palette.ink(self._colour)
        if ink != self._shown:  # a style sheet is parsed anew even when it says the same
            self._shown = ink
            self.setStyleSheet(f"color: {ink}; background: transparent;")


class Elided(QLabel):
    """A label of one line that gives way: what does not fit is left out. Its tooltip should say the whole.

    Parameters
    ----------
    text : str
    where : Qt.TextElideMode
        Where the ellipsis stands.
    """

    def __init__(self, text: str = "", where: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__(text)
        self._where = where

    def minimumSizeHint(self) -> QSize:
        """Return room for a few letters."""
        return QSize(self.fontMetrics().averageCharWidth() * 8, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what fits."""
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), self._where, self.width())
        where = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.style().drawItemText(painter, self.rect(), where, self.palette(), self.isEnabled(), text, self.foregroundRole())


class Primary(QPushButton):
    """The main button of a form; its look when it is off follows napari's theme."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setObjectName("primary")
        self.setMinimumHeight(30)
        self._dress()
        palette.changed.connect(self._dress)

    def _dress(self) -> None:
        off, ink = ("#3a4450", "#b0b9c2") if palette.theme.dark else ("#cfd3d8", "#4d555e")
        self.setStyleSheet(
            f"QPushButton#primary {{ background: {_BLUE}; color: white; font-weight: bold; }}"
            "QPushButton#primary:hover { background: #0b68a0; }"
            f"QPushButton#primary:disabled {{ background: {off}; color: {ink}; }}"
        )


class ProgressRow(QWidget):
    """A progress bar with what is being done, the time left, and a cancel button."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.bar.setFormat("%p %")
        self.bar.setToolTip("How far the step is")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("End this step; what is finished is kept")
        self.text = words_label(QUIET)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.text)

    def begin(self, words: str) -> None:
        """Show that something has begun."""
        self.bar.setRange(0, 0)
        self.text.setText(f"{words} …")
        self.show()

    def note(self, words: str) -> None:
        """Show words alone."""
        self.text.setText(words)

    def show_update(self, update: Update) -> None:
        """Show how far it is."""
        progress = update.progress
        if progress.total > 0:
            self.bar.setRange(0, 1000)
            self.bar.setValue(round(1000 * min(1.0, progress.done / progress.total)))
        else:
            self.bar.setRange(0, 0)
        left = time_words(update.seconds_left)
        told = f" · {left} left" if left and "left" not in progress.message else ""
        if progress.message or told:
            self.text.setText(f"{progress.message}{told}".strip(" ·"))


def listen(event: Any, widget: QWidget, slot: str) -> None:  # noqa: ANN401 - an event of napari
    """Call a widget's method at an event of the viewer for as long as the widget lives: napari does not see Qt delete it."""
    this = ref(widget)

    def heard(_: object = None) -> None:
        alive = this()
        try:
            if alive is not None:
                getattr(alive, slot)()
                return
        except RuntimeError:  # Python still knows the widget, Qt has deleted it
            pass
        event.disconnect(heard)

    event.connect(heard)


class Tabs(QTabWidget):
    """Tabs as tall as the page on top: a long page behind does not stretch a short one."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.setStyleSheet("QTabWidget::pane { border: none; }")
        self.currentChanged.connect(self.updateGeometry)

    def sizeHint(self) -> QSize:
        """Return the size of tab bar and current page."""
        return self._with_bar(self.currentWidget().sizeHint() if self.currentWidget() else QSize())

    def minimumSizeHint(self) -> QSize:
        """Return the least size of tab bar and current page."""
        return self._with_bar(self.currentWidget().minimumSizeHint() if self.currentWidget() else QSize())

    def hasHeightForWidth(self) -> bool:
        """Tell whether the current page is taller where it is narrower."""
        return self.currentWidget() is not None and self.currentWidget().hasHeightForWidth()

    def heightForWidth(self, width: int) -> int:
        """Return the height that the current page needs; Qt's own answer is that of the tallest page."""
        page = self.currentWidget()
        return self._with_bar(QSize(width, page.heightForWidth(width) if page.hasHeightForWidth() else page.sizeHint().height())).height()

    def _with_bar(self, page: QSize) -> QSize:
        widest = max((self.widget(index).minimumSizeHint().width() for index in range(self.count())), default=0)
        return QSize(max(page.width(), widest), page.height() + self.tabBar().sizeHint().height() + 4)


def words_label(colour: str) -> Words:
    """Return a label for sentences."""
    return Words(colour)


def primary(text: str, tooltip: str) -> Primary:
    """Return the form's main button."""
    button = Primary(text)
    button.setToolTip(tooltip)
    return button


def plain_button(text: str, tooltip: str) -> QPushButton:
    """Return a secondary button."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.setStyleSheet("padding: 3px 5px;")  # napari's own padding makes rows of buttons wider than the dock
    return button


def row(*widgets: QWidget | None) -> QHBoxLayout:
    """Return widgets side by side; None is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for widget in widgets:
        if widget is None:
            layout.addStretch(1)
        else:
            layout.addWidget(widget)
    return layout


def heading(text: str) -> QLabel:
    """Return a small heading inside a form."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; background: transparent;")
    return label


def boxed(layout: QLayout) -> QWidget:
    """Return a layout as a widget that can be shown and hidden."""
    widget = QWidget()
    layout.setContentsMargins(0, 0, 0, 0)
    widget.setLayout(layout)
    return widget
