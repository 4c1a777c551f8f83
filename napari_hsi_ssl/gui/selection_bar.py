"""The row under the scatter: how many pixels are selected, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QLabel, QMenu, QPushButton, QWidget

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui import layers, result_layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.forms.copying import KINDS
from napari_hsi_ssl.gui.selection import DRAW, selection_for
from napari_hsi_ssl.steps.lasso import How

_BESIDE = 700  # pixels in which the buttons leave room for a sentence


class SelectionBar(QWidget):
    """A slim row: how many pixels are selected, and what can be done with them."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.selection = selection_for(desk)
        self.words = QLabel(wordWrap=True)
        self.take = self._button("Select ▾", "Select pixels by drawing in the image, or those of the mask or a class", self._fill_take)
        self.mask = self._button("To mask ▾", "Make the selected pixels the mask, or add or remove them", self._fill_mask)
        self.label = self._button("To class ▾", "Give the selected pixels a class", self._fill_class)
        self.cleared = QPushButton("Clear", clicked=self.selection.clear)
        self.cleared.setToolTip("Select nothing")
        self.more = self._button("More ▾", "Select the other pixels, or copy the lasso and what was made of it as a command or as Python", self._fill_more)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addStretch()
        for button in (self.take, self.mask, self.label, self.cleared, self.more):
            button.setStyleSheet("QPushButton { padding: 3px 7px; } QPushButton::menu-indicator { image: none; width: 0; }")
            row.addWidget(button)
        self._both = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._both.setContentsMargins(0, 0, 0, 0)
        self._both.setSpacing(2)
        self._both.addWidget(self.words, 1)
        self._both.addLayout(row)
        desk.selection_changed.connect(self.tell)
        desk.cube_changed.connect(self.tell)
        desk.labels_changed.connect(self.tell)  # a class that was just made may be called otherwise now
        self.selection.told.connect(self.say)
        self.tell()

    def _button(self, text: str, tooltip: str, fill: Callable[[QMenu], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tooltip)
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        menu.aboutToShow.connect(lambda: fill(menu))
        button.setMenu(menu)
        return button

    def tell(self, _: str = "") -> None:
        """Say how many pixels are selected."""
        selected = self.desk.selection
        if selected is None:
            self.words.setText("Nothing selected: drag around points.")
        else:
            count = int(np.count_nonzero(selected))
            self.words.setText(f"{count:,} px of {self.desk.cube} selected ({count / selected.size:.1%})")
        self.words.setToolTip(self.words.text())
        for button in (self.mask, self.label, self.cleared, self.more):
            button.setEnabled(selected is not None)
        self.take.setEnabled(bool(self.desk.cube))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put the words above the buttons where they have no room beside them."""
        super().resizeEvent(event)
        wide = self.width() >= _BESIDE
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        if self._both.direction() != direction:
            self._both.setDirection(direction)

    def say(self, words: str, _level: str = "") -> None:
        """Say what came of what the user did."""
        self.words.setText(words)
        self.words.setToolTip(words)

    def _fill_take(self, menu: QMenu) -> None:
        menu.clear()
        for key, (text, tooltip) in DRAW.items():
            _entry(menu, f"{text} in the image", tooltip, partial(self.selection.draw, key))
        menu.addSeparator()
        _entry(menu, "The mask", "Select the pixels in the mask", self.selection.take_mask)
        viewer, cube = self.desk.viewer, self.desk.cube
        if layers.find(viewer, "labels", cube) is not None:
            classes = self.selection.classes()
            for number, name in zip(classes.numbers, classes.names, strict=True):
                _entry(menu, f"Class {name}", f"Select the pixels labelled {name}", partial(self.selection.take_class, number))
        shown = result_layers.shown_map(viewer, cube)
        mapped: Classes | None = shown.metadata["hsi"].get("classes") if shown is not None else None
        if mapped is not None:
            menu.addSeparator()
            for number, name in zip(mapped.numbers, mapped.names, strict=True):
                _entry(menu, f"{name} on the map", f"Select the pixels mapped as {name}", partial(self.selection.take_class, number, "map"))

    def _fill_mask(self, menu: QMenu) -> None:
        menu.clear()
        entries: tuple[tuple[How, str, str], ...] = (
            ("set", "Set as mask", "The selected pixels become the mask of this cube"),
            ("add", "Add to mask", "The selected pixels join the mask of this cube"),
            ("remove", "Remove from mask", "The selected pixels leave the mask of this cube"),
        )
        for how, text, tooltip in entries:
            _entry(menu, text, tooltip, partial(self.selection.to_mask, how))
        menu.addSeparator()
        every = _entry(menu, "Set as masks of all cubes", "What the lasso holds in each cube becomes its mask", self.selection.to_masks_of_all)
        every.setEnabled(bool(self.selection.strokes))

    def _fill_class(self, menu: QMenu) -> None:
        menu.clear()
        _entry(menu, "New class", "Make a class of the selected pixels; double-click its name in step 2, Labels, to change it", self.selection.to_class)
        classes = self.selection.classes()
        if classes.numbers:
            menu.addSeparator()
        for number, name in zip(classes.numbers, classes.names, strict=True):
            _entry(menu, name, f"The selected pixels of this cube become {name}", partial(self.selection.to_class, number))
        if classes.numbers and self.selection.strokes:
            every = menu.addMenu("In all cubes")
            for name in classes.names:
                _entry(every, name, f"What the lasso holds in each cube becomes {name}", partial(self.selection.to_class_in_all, name))

    def _fill_more(self, menu: QMenu) -> None:
        menu.clear()
        _entry(menu, "Invert", "Select the other pixels of this cube", self.selection.invert)
        menu.addSeparator()
        for kind, words in KINDS.items():
            _entry(menu, words, "The lasso, and what was made of it last", partial(self.selection.copy, kind))


def _entry(menu: QMenu, text: str, tooltip: str, act: Callable[[], object]) -> Any:  # noqa: ANN401 - QAction is in another module in Qt 5
    action = menu.addAction(text)
    action.setToolTip(tooltip)
    action.triggered.connect(lambda _=False: act())
    return action
