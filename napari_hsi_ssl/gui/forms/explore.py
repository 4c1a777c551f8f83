"""3 Explore: bring all cubes to one band grid, fit the PCA, look at components and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QLabel

from napari_hsi_ssl.config import PcaConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import heading, listen, plain_button, primary, row, words_label
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.pca import fit_pca

_HINTS = {
    "bands": "Every domain is brought to this many bands first",
    "grid": "By band number from first to last, or by wavelength where all cubes have them and share a range",
    "components": "How many components are kept",
    "method": "PCA orders components by variance, MNF by signal-to-noise ratio",
    "scale": "What is done to spectra before: nothing, every band to unit variance, or every spectrum to mean 0 and variance 1 (SNV)",
    "weights": "Count every pixel alike, or every domain alike however many pixels it has",
    "seed": "Seed of the random sample",
}


class ExploreForm(Form):
    """The third form: one projection for all cubes."""

    number = 3
    title = "Explore"

    def build(self) -> None:
        """Lay the form out."""
        self.red, self.green, self.blue = QComboBox(), QComboBox(), QComboBox()
        for name, box in (("red", self.red), ("green", self.green), ("blue", self.blue)):
            box.setToolTip(f"Band that is shown as {name}")
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(4)
            box.activated.connect(self._compose)
        self.body.addLayout(row(QLabel("RGB"), self.red, self.green, self.blue))
        self.fields = ConfigFields(
            PcaConfig,
            ("bands", "components", "grid", "method", "scale", "weights"),
            ("sample", "seed"),
            labels={"grid": "Band grid", "sample": "Pixels a cube", "weights": "Weigh by"},
            empty={"sample": "all masked"},
            hints=_HINTS,
            words={"index": "by band number", "wavelength": "by wavelength", "pca": "PCA", "mnf": "MNF", "snv": "SNV", "standardise": "standardise bands"},
        )
        self.body.addWidget(self.fields)
        self.fit = self.needs_project(primary("Fit PCA", "Fit one projection over the used pixels of all cubes, and project them"))
        self.fit.clicked.connect(self.fit_pca)
        self.body.addWidget(self.fit)
        self.explained = words_label("#d0d6dc")
        self.body.addWidget(self.explained)
        self.images = self.needs_project(plain_button("PC images", "Show the components of this cube as one layer; the slider goes through them"))
        self.images.clicked.connect(self.canvas.show_components)
        self.scatter = self.needs_project(plain_button("PC1–PC2 scatter", "Bring the scatter plot of all cubes to the front, below the image"))
        self.scatter.clicked.connect(lambda: self.desk.plot_wanted.emit("scatter"))
        self.spectra = self.needs_project(plain_button("Spectra", "Bring the spectra to the front, below the image"))
        self.spectra.clicked.connect(lambda: self.desk.plot_wanted.emit("spectra"))
        self.body.addWidget(heading("Look"))
        self.body.addLayout(row(self.images, self.scatter, self.spectra))
        self._bands_of = ""
        self.desk.cube_changed.connect(self._forget_bands)
        listen(self.desk.viewer.layers.events.inserted, self, "show_bands")  # the image comes some time after its cube

    def standing(self) -> Standing:
        """Say whether there is a PCA, and of what."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        if project.inlet is None:
            masked = any(project.mask_path(name).exists() for name in project.entries)
            return Standing("ready", "No PCA yet." if masked else "No PCA yet. No mask either: the whole images are used.")
        missing = [name for name in project.entries if not (project.inlet_folder() / f"{name}.npy").exists()]
        if missing:
            return Standing("ready", f"{len(missing)} cube{'s' * (len(missing) != 1)} came after the PCA: fit it again.")
        return Standing("done", f"PCA {project.inlet[:6]} of {len(project.entries)} cube{'s' * (len(project.entries) != 1)}")

    def update_widgets(self) -> None:
        """Say what can be looked at, and offer the bands of the current cube."""
        has = self.project is not None and self.project.inlet is not None and not self.desk.busy
        self.images.setEnabled(has)
        self.scatter.setEnabled(has)
        self.show_bands()

    def show_bands(self) -> None:
        """Offer the bands of the current cube, and say which of them the composite shows."""
        entry = self.project.entries.get(self.desk.cube) if self.project else None
        if entry is not None and self._bands_of != entry.name:
            self._bands_of = entry.name
            centres = entry.wavelengths
            texts = [f"{centre:.0f} nm" for centre in centres] if centres is not None else [f"band {band}" for band in range(entry.shape[2])]
            for box in (self.red, self.green, self.blue):
                box.clear()
                box.addItems(texts)
        composite = layers.find(self.desk.viewer, "rgb", self.desk.cube)
        if entry is not None and composite is not None:
            for box, band in zip((self.red, self.green, self.blue), composite.metadata["hsi"].get("bands", ()), strict=False):
                box.setCurrentIndex(int(band))

    def project_opened(self) -> None:
        """Show what the project's PCA was made with, and what it explains."""
        noted = self.noted("pca")
        self.fields.take(noted.get("settings", {}))
        self.explained.setText("")
        if "explained" in noted and self.project is not None and self.project.inlet == noted.get("inlet"):
            self.show_explained(noted)

    def _forget_bands(self, _name: str) -> None:
        self._bands_of = ""

    def _compose(self, _index: int) -> None:
        red, green, blue = (box.currentIndex() for box in (self.red, self.green, self.blue))
        if min(red, green, blue) >= 0:
            self.canvas.show_composite((red, green, blue))

    def recipe(self) -> recipe.Recipe | None:
        """Return the fit as it stands."""
        return recipe.pca(self.project.folder, self.fields.value()) if self.project is not None else None

    def fit_pca(self) -> None:
        """Fit the projection."""
        if self.project is None:
            return
        try:
            config = self.fields.value()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(fit_pca(self.project, config), self._fitted, "fitting the PCA")

    def _fitted(self, report: dict[str, Any]) -> None:
        self.show_explained(report)
        self.warn(*report["warnings"])
        self.desk.inlet_changed.emit()
        self.desk.plot_wanted.emit("scatter")

    def show_explained(self, report: dict[str, Any]) -> None:
        """Say how much of the variance the components explain."""
        explained = np.asarray(report["explained"], dtype=np.float64)
        first = " · ".join(f"PC{number} {share:.1%}" for number, share in enumerate(explained[:3], start=1))
        self.explained.setText(f"{first}\n{report['components']} components: {explained.sum():.2%} of the variance of {report['pixels']:,} pixels")
