"""The keys of the workbench, and the list of them that a small button shows."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QWidget


@dataclass(frozen=True)
class Keys:
    """One shortcut.

    Attributes
    ----------
    keys : str
        As Qt writes them.
    words : str
        What they do.
    """

    keys: str
    words: str


RUN, CANCEL, COMMAND, PYTHON, LIST = (
    Keys("Ctrl+Return", "Press the main button of the open form"),
    Keys("Esc", "Cancel what the open form does (while the keyboard is in the workbench)"),
    Keys("Ctrl+Alt+C", "Copy the open form's step as a command"),
    Keys("Ctrl+Alt+Y", "Copy the open form's step as Python"),
    Keys("Ctrl+Alt+K", "This list"),
)
FORM_KEYS = "Ctrl+Alt+{number}"
SHORTCUTS: tuple[Keys, ...] = (Keys("Ctrl+Alt+1 … 6", "Open a form"), RUN, CANCEL, COMMAND, PYTHON, LIST)
ELSEWHERE: tuple[Keys, ...] = (
    Keys("Shift+X  Z  M", "Next class, the one before, a new one (tab Paint of form 6)"),
    Keys("Shift+J  E  U  H", "Brush, eraser, next place to paint, confidence (tab Paint)"),
    Keys("[  ]", "Width of the brush (napari)"),
    Keys("Ctrl+Z", "Take a brush stroke back (napari)"),
    Keys("Left  Right", "Band before, band after (napari, on the image)"),
)


class ShortcutList(QFrame):
    """A list of the shortcuts that closes at the next click."""

    def __init__(self, parent: QWidget, more: tuple[Keys, ...] = ()) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setToolTip("Shortcuts; click anywhere to close")
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 10, 12, 10)
        grid.setHorizontalSpacing(16)
        for row, keys in enumerate((*SHORTCUTS, *more, *ELSEWHERE)):
            name = QLabel(keys.keys)
            name.setStyleSheet("font-weight: bold;")
            grid.addWidget(name, row, 0)
            grid.addWidget(QLabel(keys.words), row, 1)

    def show_below(self, widget: QWidget) -> None:
        """Open under a widget, its right edges aligned."""
        self.adjustSize()
        corner = widget.mapToGlobal(QPoint(widget.width(), widget.height()))
        self.move(max(0, corner.x() - self.width()), corner.y() + 2)
        self.show()
