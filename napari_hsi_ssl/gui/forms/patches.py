"""4 Patches: cut windows from the used pixels and divide them into training and test ones."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHeaderView, QTableWidget, QTableWidgetItem

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import primary
from napari_hsi_ssl.steps.patches import cut_patches

_HINTS = {
    "size": "Side of a patch in pixels",
    "background": "What background inside a patch becomes: the mean of its foreground (so that the tray is not learned), as it is, or zero",
    "test_share": "Share of the cubes or blocks that is held out for the test",
    "seed": "Seed of the split and of the choice of patches",
    "per_domain": "At most this many patches a domain, chosen at random",
}


class PatchesForm(Form):
    """The fourth form: where the patches are."""

    number = 4
    title = "Patches"

    def build(self) -> None:
        """Lay the form out."""
        self.fields = ConfigFields(
            PatchConfig,
            ("size", "stride", "coverage", "background", "split"),
            ("per_domain", "test_share", "guard", "block", "seed"),
            labels={"coverage": "Least foreground", "per_domain": "Patches a domain", "test_share": "Held out", "guard": "Guard (px)", "block": "Block (px)"},
            empty={"per_domain": "all"},
            hints=_HINTS,
            words={"mean": "mean of the foreground", "keep": "as it is", "auto": "automatic", "cube": "whole cubes", "blocks": "guarded blocks"},
        )
        for name in ("stride", "block"):
            self.fields.editors[name].widget.setSpecialValueText("half the size" if name == "stride" else "twice the size")
        self.body.addWidget(self.fields)
        self.cut = self.needs_project(primary("Cut patches", "Find the patches of all cubes; nothing is copied, a patch is an address"))
        self.cut.clicked.connect(self.cut_patches)
        self.body.addWidget(self.cut)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(("Domain", "Train", "Test"))
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setMinimumHeight(110)
        self.table.setToolTip("Number of patches")
        self.body.addWidget(self.table)
        self.grid = QCheckBox("Show the patches of this cube")
        self.grid.setChecked(True)
        self.grid.setToolTip("Outlines on the image: training patches orange, test patches blue")
        self.grid.toggled.connect(self._show_grid)
        self.body.addWidget(self.grid)
        self._shown = ""

    def standing(self) -> Standing:
        """Say how many patches there are."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes.")
        if project.patches is None or not project.patches_path().exists():
            return Standing("ready", "No patches yet." if project.inlet else "No patches yet. No PCA either, which training needs.")
        noted = self.noted("patches")
        count, size = noted.get("count"), noted.get("size")
        return Standing("done", f"{count:,} patches of {size}×{size} pixels" if count is not None else "Patches are cut.")

    def project_opened(self) -> None:
        """Show what the project's patches were cut with."""
        self.fields.take(self.noted("patches").get("settings", {}))

    def update_widgets(self) -> None:
        """Show what was cut."""
        noted = self.noted("patches") if self.project is not None and self.project.patches else {}
        if noted.get("patches") == self._shown:
            return
        self._shown = noted.get("patches", "")
        self.show_counts(noted.get("per_domain", {}))

    def show_counts(self, counts: dict[str, dict[str, int]]) -> None:
        """Fill the table of patches a domain."""
        rows = [(name, split["train"], split["test"]) for name, split in counts.items()]
        if len(rows) > 1:
            rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
        self.table.setRowCount(len(rows))
        for index, values in enumerate(rows):
            for column, value in enumerate(values):
                item = QTableWidgetItem(value if isinstance(value, str) else f"{value:,}")
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(index, column, item)

    def cut_patches(self) -> None:
        """Cut the patches."""
        if self.project is None:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(cut_patches(self.project, config), self._cut, "cutting patches")

    def _cut(self, report: dict[str, Any]) -> None:
        train = sum(split["train"] for split in report["per_domain"].values())
        self.warn(*(f"{cube} is left out: {why}" for cube, why in report["left_out"].items()), *report.get("notes", []))
        if report["count"] == 0:
            self.say("No patch was found: lower the least foreground or the size.", "error")
        else:
            self.say(f"{report['count']:,} patches: {train:,} to train, {report['count'] - train:,} held out.")
        self._shown = ""
        self.desk.patches_changed.emit()

    def _show_grid(self, on: bool) -> None:
        self.canvas.grid_wanted = on
        layer = layers.find(self.desk.viewer, "grid", self.desk.cube)
        if layer is not None:
            layer.visible = on
        elif on:
            self.canvas.show_grid()
