"""White and dark reference of the cubes that are added next: files, the panel's reflectance, exposure times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qtpy.QtWidgets import QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui.forms.pieces import CAREFUL, plain_button, row, words_label
from napari_hsi_ssl.gui.projects import Beside

_EXPOSED: Final = ("cube", "white", "dark")
_HEADER: Final = "header"


class ReferencesPanel(QWidget):
    """Fields for white and dark references, embedded in a form.

    Parameters
    ----------
    browse : callable
        Asks for a file and puts its path into the given field.
    """

    def __init__(self, browse: Callable[[QLineEdit], None]) -> None:
        super().__init__()
        self._found: dict[str, str] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.words = words_label(CAREFUL)
        self.words.hide()
        layout.addWidget(self.words)
        self.white, self.dark, self.panel = QLineEdit(), QLineEdit(), QLineEdit()
        for name, field in (("White", self.white), ("Dark", self.dark)):
            field.setPlaceholderText("none")
            field.setToolTip(f"{name} reference cube or spectrum of the next files that are added; reflectance = (cube − dark) / (white − dark)")
            layout.addLayout(_with_file(name, field, "Choose a file", browse))
        self.panel.setPlaceholderText("1")
        self.panel.setToolTip("Reflectance of the white panel itself: a fraction such as 0.5, or a table of wavelengths and reflectances (CSV, .sli)")
        layout.addLayout(_with_file("Panel", self.panel, "Choose a table", browse))
        self.exposures = {name: QLineEdit() for name in _EXPOSED}
        for name, field in self.exposures.items():
            field.setPlaceholderText(_HEADER)
            field.setToolTip(
                f"Exposure time of the {name}, in one unit for all three; all empty: as the headers state them; "
                "one that is unknown counts as long as the one it is compared with"
            )
        line = [part for name, field in self.exposures.items() for part in (QLabel(name), field)]
        layout.addLayout(row(_label("Exposure"), *line))
        self.white.textEdited.connect(self._edited)
        self.dark.textEdited.connect(self._edited)

    @property
    def empty(self) -> bool:
        """Whether neither reference is given."""
        return not (self.white.text().strip() or self.dark.text().strip())

    def offer(self, found: Beside) -> None:
        """Fill the fields with what lies beside a cube, and say so."""
        self._found = {kind: str(path) for kind, path in found.references.items()}
        self.white.setText(self._found.get("white", ""))
        self.dark.setText(self._found.get("dark", ""))
        times = found.exposures or (None, None, None)
        for field, time in zip(self.exposures.values(), times, strict=True):
            field.setPlaceholderText(_HEADER if time is None else f"{time:g}")
        self.words.setText(f"Found by name beside {found.cube.name}")
        self.words.show()

    def forget(self) -> None:
        """Empty the fields that were filled by `offer`, not those that the user has changed."""
        for kind, field in (("white", self.white), ("dark", self.dark)):
            if self._found and field.text() == self._found.get(kind, ""):
                field.clear()
        for field in self.exposures.values():
            field.setPlaceholderText(_HEADER)
        self._found = {}
        self.words.hide()

    def value(self) -> dict[str, Any]:
        """Return what `steps.cubes.add` takes; empty without a reference.

        Raises
        ------
        ConfigError
            When an exposure time is no number above zero.
        """
        if self.empty:
            return {}
        texts = {kind: field.text().strip() for kind, field in (("white", self.white), ("dark", self.dark)) if field.text().strip()}
        how: dict[str, Any] = {"references": "auto"} if texts == self._found else {kind: Path(text) for kind, text in texts.items()}
        if self.panel.text().strip():
            how["panel"] = panel_of(self.panel.text())
        times = tuple(_time(name, field.text()) for name, field in self.exposures.items())
        if any(time is not None for time in times):
            how["exposure"] = times
        return how

    def _edited(self) -> None:
        self.words.hide()


def panel_of(text: str) -> float | Path:
    """Return a panel's reflectance as it was typed: a fraction, or the file of a table."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return Path(text.strip())


def _time(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        time = float(text.replace(",", "."))
    except ValueError:
        time = 0.0
    if not time > 0:
        raise ConfigError(f"The exposure time of the {name} is '{text.strip()}', expected a number above 0; correct it or leave it empty.")
    return time


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setMinimumWidth(76)
    return label


def _with_file(name: str, field: QLineEdit, tip: str, browse: Callable[[QLineEdit], None]) -> Any:  # noqa: ANN401 - a Qt layout
    button = plain_button("…", tip)
    button.clicked.connect(lambda: browse(field))
    return row(_label(name), field, button)
