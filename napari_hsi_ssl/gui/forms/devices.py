"""What there is to train on: each device with the memory and the time that the training on the form would take of it, by a short trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_hsi_ssl.config import DistilConfig, PretrainConfig
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import QUIET, plain_button, row, words_label
from napari_hsi_ssl.gui.jobs import time_words
from napari_hsi_ssl.gui.wording import in_window
from napari_hsi_ssl.steps.devices import devices

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_COLUMNS: Final = ("Device", "Precision", "Memory", "Time")
_MACHINE: Final = ("accelerator", "devices", "precision")
_AUTO: Final = dict.fromkeys(_MACHINE, "auto")
_PRECISION: Final = {"32": "float32", "16": "float16", "bf16": "bfloat16"}
_MANY: Final = 2**30


class DevicePanel(QWidget):
    """Lists the devices on demand, and sets the fields to the one that is chosen.

    Parameters
    ----------
    form : Form
        Runs the trial.
    fields : ConfigFields
        The settings of the training.
    """

    def __init__(self, form: Form, fields: ConfigFields[Any]) -> None:
        super().__init__()
        self._form, self._fields = form, fields
        fields.changed.connect(self.settings_changed)
        self._tried: PretrainConfig | DistilConfig | None = None
        self.choices: list[dict[str, Any]] = []
        self.ask = plain_button("Compare devices", "Train a few steps on every device of this computer and tell what the whole training would take there")
        self.ask.clicked.connect(self.compare)
        self.words = words_label(QUIET)
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setToolTip("Choose a row to train there")
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(self.ask, None))
        layout.addWidget(self.words)
        layout.addWidget(self.table)
        self._forget()

    def compare(self) -> None:
        """Try the training that is set on the form on every device."""
        if self._form.project is None:
            return
        try:
            self._tried = self._fields.value()
        except HsiError as error:
            self._form.say(str(error), "error")
            return
        self._form.run(devices(self._form.project, self._tried), self.show_report, "trying the devices", writes=False)

    def show_report(self, report: dict[str, Any]) -> None:
        """Show what `steps.devices` returned."""
        self.choices = report["choices"]
        self.words.setText(_there_is(report) + (f"\n{in_window(report['note'])}" if "note" in report else ""))
        self.words.show()
        blocked = self.table.blockSignals(True)
        self.table.clearSelection()
        self.table.setRowCount(len(self.choices))
        for index, choice in enumerate(self.choices):
            texts = (choice["device"], _PRECISION[choice["precision"]] + (" (auto)" if choice["automatic"] else ""), *_cost(choice))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                item.setToolTip(_details(choice))
                self.table.setItem(index, column, item)
        self.table.blockSignals(blocked)
        self.table.resizeRowsToContents()
        rows = sum(self.table.rowHeight(index) for index in range(len(self.choices)))
        self.table.setFixedHeight(rows + self.table.horizontalHeader().sizeHint().height() + 4)
        self.table.show()

    def settings_changed(self, *_: object) -> None:
        """Take the figures away when they are no longer about what is set."""
        if self._tried is None:
            return
        try:
            now = self._fields.value()
        except HsiError:  # they contradict each other for the moment
            now = None
        if now is None or now.model_copy(update=_AUTO) != self._tried.model_copy(update=_AUTO):
            self._forget()

    def _forget(self) -> None:
        self._tried, self.choices = None, []
        self.words.hide()
        self.table.hide()

    def _chosen(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            choice, fields = self.choices[rows[0].row()], self._fields
            fields.setValue(fields.value().model_copy(update=_AUTO if choice["automatic"] else {name: choice[name] for name in _MACHINE}))
            fields.edited.emit(fields.value())


def _there_is(report: dict[str, Any]) -> str:
    cpu, gpus = report["cpu"], report["gpus"]
    told = [f"CPU with {cpu['cores']} core{'s' * (cpu['cores'] != 1)}, {_free(cpu)}"]
    for name in dict.fromkeys(gpu["name"] for gpu in gpus):
        alike = [gpu for gpu in gpus if gpu["name"] == name]
        count = f"{len(alike)} × " if len(alike) > 1 else ""
        told.append(f"{count}{name}, {_free(min(alike, key=lambda gpu: gpu['free']))}{' each' if count else ''}")
    return "; ".join(told) + ("." if gpus else "; no GPU that torch can use.")


def _free(device: dict[str, Any]) -> str:
    return f"{device['free'] / _MANY:.1f} of {device['memory'] / _MANY:.1f} GiB free"


def _cost(choice: dict[str, Any]) -> tuple[str, str]:
    if "problem" in choice:
        return "too little", "–"
    return (f"{choice['memory'] / _MANY:.2g} GiB", time_words(choice["seconds"])) if "seconds" in choice else ("", "")


def _details(choice: dict[str, Any]) -> str:
    if "problem" in choice:
        return str(in_window(choice["problem"]))
    if "seconds" not in choice:
        return "Train here"
    together = ", without what the GPUs tell each other" if choice["devices"] > 1 else ""
    return f"Train here: {choice['patches_per_second']:.0f} windows a second in a short trial{together}; memory is the peak of the trial"
