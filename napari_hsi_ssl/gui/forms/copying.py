"""Beside the main button of every form: its step as a command or as Python on the clipboard, and the way back to the defaults."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QBoxLayout, QLayout, QMenu, QPushButton, QSizePolicy, QWidget

from napari_hsi_ssl.gui.forms.pieces import plain_button, row

KINDS = {"command": "Copy as command", "python": "Copy as Python"}
MENU_STYLE = "QPushButton { padding: 3px 5px; } QPushButton::menu-indicator { image: none; width: 0; }"
"""Of a button with a menu: napari's sign for it lies over the text."""
_TEXT, _DONE = "Copy ▾", "Copied ✓"
_SHOWN_MS = 1500


class CopyButton(QPushButton):
    """A menu that copies a step.

    Parameters
    ----------
    copy : callable
        Called with "command" or "python", and whether the last step is meant instead of the one that the form would do now;
        returns whether something was copied.
    last : callable
        Returns the name of the step that was done last when it is another one, or "".
    """

    def __init__(self, copy: Callable[[str, bool], bool], last: Callable[[], str]) -> None:
        super().__init__()
        self._copy, self._last = copy, last
        self.setText(_DONE)
        self.setStyleSheet(MENU_STYLE)
        self.setMinimumWidth(self.sizeHint().width())  # the word "copied" shall not move the buttons beside it
        self.setText(_TEXT)
        self.setMinimumHeight(30)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setToolTip("Copy this step as a line for the command line (Ctrl+Alt+C) or as a Python script (Ctrl+Alt+Y)")
        self.menu_of_ways = QMenu(self)
        self.menu_of_ways.aboutToShow.connect(self._fill)
        self.setMenu(self.menu_of_ways)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SHOWN_MS)
        self._timer.timeout.connect(self._settle)
        self._fill()

    def _fill(self) -> None:
        self.menu_of_ways.clear()
        for kind, words in KINDS.items():
            self.menu_of_ways.addAction(words).triggered.connect(partial(self.copy, kind))
        last = self._last()
        if last:
            self.menu_of_ways.addSeparator()
            for kind, words in KINDS.items():
                self.menu_of_ways.addAction(f"{words}: the last step ({last})").triggered.connect(partial(self.copy, kind, last=True))

    def copy(self, kind: str, _checked: bool = False, last: bool = False) -> None:
        """Copy, and say so."""
        if self._copy(kind, last):
            self.setText(_DONE)
            self._timer.start()

    def _settle(self) -> None:
        self.setText(_TEXT)


def put_beside(button: QPushButton, *others: QWidget) -> None:
    """Put widgets to the right of a button that stands in a layout already."""
    parent = button.parentWidget()
    found = _holder(parent.layout(), button) if parent is not None else None
    if found is None:
        return
    layout, index = found
    if isinstance(layout, QBoxLayout) and layout.direction() in {QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.RightToLeft}:
        for other in others:
            layout.addWidget(other)
        return
    if not isinstance(layout, QBoxLayout):
        return
    layout.removeWidget(button)
    line = row(button, *others)
    line.setStretch(0, 1)
    layout.insertLayout(index, line)


def _holder(layout: QLayout | None, button: QPushButton) -> tuple[QLayout, int] | None:
    """Return the layout that a button stands in, and its place there."""
    if layout is None:
        return None
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item.widget() is button:
            return layout, index
        inner: Any = item.layout()
        found = _holder(inner, button) if inner is not None else None
        if found is not None:
            return found
    return None


def defaults_button() -> QPushButton:
    """Return the small button that takes a form's settings back to the defaults."""
    button = plain_button("Defaults", "Take every setting of this form back to its default")
    button.setMinimumHeight(30)
    button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    return button
