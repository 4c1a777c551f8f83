"""3 Explore: bring all cubes to one band grid, fit the PCA, look at components and scatter."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from qtpy.QtWidgets import QVBoxLayout

from napari_hsi_ssl.config import PcaConfig, UmapConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui.forms.base import Form, Standing
from napari_hsi_ssl.gui.forms.fields import ConfigFields, fold
from napari_hsi_ssl.gui.forms.pieces import boxed, heading, plain_button, primary, row, words_label
from napari_hsi_ssl.gui.forms.prepare import PreparePanel
from napari_hsi_ssl.gui.forms.views import ViewsPanel
from napari_hsi_ssl.steps import recipe
from napari_hsi_ssl.steps.pca import fit_pca
from napari_hsi_ssl.steps.training_free import training_free_inlet
from napari_hsi_ssl.steps.umap import fit_umap

_HINTS = {
    "bands": "Every domain is brought to this many bands first",
    "grid": "By band number from first to last, or by wavelength where all cubes have them and share a range",
    "components": "How many components are kept",
    "method": "PCA orders components by variance, MNF by signal-to-noise ratio",
    "edges": "How the noise is told from neighbouring pixels: all pairs of neighbours count, or those across the edges of things are left out",
    "denoise": "Radius in pixels of a bilateral filter, which smooths the component images but not across edges; 0 leaves them as they are",
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
        self.prepare = PreparePanel(self)
        self.body.addWidget(fold("Prepare spectra", self.prepare))
        self.body.addWidget(heading("Look"))
        self.looks = ViewsPanel(self)
        self.body.addWidget(self.looks)
        self.body.addWidget(heading("Components"))
        self.fields = ConfigFields(
            PcaConfig,
            ("bands", "components", "grid", "method", "scale", "weights"),
            ("edges", "denoise", "sample", "seed"),
            labels={"grid": "Band grid", "sample": "Pixels a cube", "weights": "Weigh by", "edges": "Edges", "denoise": "Denoise radius"},
            empty={"sample": "all masked"},
            hints=_HINTS,
            words={
                "index": "by band number", "wavelength": "by wavelength", "pca": "PCA", "mnf": "MNF", "snv": "SNV", "standardise": "standardise bands",
                "count": "count for the noise", "skip": "leave out of the noise",
            },
        )  # fmt: skip
        self.fields.editors["method"].signal.connect(self._method_chosen)
        self.body.addWidget(self.fields)
        self.fit = self.needs_project(primary("Fit PCA", "Fit one projection over the used pixels of all cubes, and project them"))
        self.fit.clicked.connect(self.fit_pca)
        self.body.addWidget(self.fit)
        self.training_free = self.needs_project(
            plain_button("Training-free", "Denoised MNF of standardised bands, as the project's inlet: what maps without any training are made from")
        )
        self.training_free.clicked.connect(self.fit_training_free)
        self.body.addLayout(row(self.training_free, None))
        self.explained = words_label("#d0d6dc")
        self.body.addWidget(self.explained)
        self._build_umap()
        self._method_chosen()
        self.images = self.needs_project(plain_button("PC images", "Show the components of this cube as one layer; the slider goes through them"))
        self.images.clicked.connect(self.canvas.show_components)
        self.scatter = self.needs_project(plain_button("Scatter", "Bring the scatter plot of all cubes to the front, below the image"))
        self.scatter.clicked.connect(lambda: self.desk.plot_wanted.emit("scatter"))
        self.spectra = self.needs_project(plain_button("Spectra", "Bring the spectra to the front, below the image"))
        self.spectra.clicked.connect(lambda: self.desk.plot_wanted.emit("spectra"))
        self.loadings = self.needs_project(plain_button("Loadings", "What each component explains and which bands it is made of, below the image"))
        self.loadings.clicked.connect(lambda: self.desk.plot_wanted.emit("loadings"))
        self.body.addLayout(row(self.images, self.scatter, self.loadings, self.spectra))

    def _build_umap(self) -> None:
        self.umap_fields = ConfigFields(
            UmapConfig,
            ("sample", "neighbours"),
            ("distance", "seed"),
            labels={"sample": "Pixels"},
            hints={"sample": "Pixels in all, as many of one domain as of another", "seed": "Seed of the sample and of the UMAP"},
        )
        self.umap = self.needs_project(plain_button("Make UMAP", "Lay a sample of pixels out so that like lies beside like; shown in the scatter"))
        self.umap.clicked.connect(self.fit_umap)
        inside = QVBoxLayout()
        inside.addWidget(self.umap_fields)
        inside.addWidget(self.umap)
        self.body.addWidget(fold("UMAP of a sample", boxed(inside)))

    def standing(self) -> Standing:
        """Say whether there is a PCA, and of what."""
        project = self.project
        if project is None or not project.entries:
            return Standing("blocked", "Needs cubes: form 1.")
        if project.inlet is None:
            return Standing("ready", "No PCA yet." if project.masked else "No PCA yet. No mask either: the whole images are used.")
        missing = len(project.entries) - len(project.projected)
        if missing:
            return Standing("ready", f"{missing} cube{'s' * (missing != 1)} came after the {self._name}: fit it again.")
        return Standing("done", f"{self._name} {project.inlet[:6]} of {len(project.entries)} cube{'s' * (len(project.entries) != 1)}")

    def update_widgets(self) -> None:
        """Say what can be looked at."""
        has = self.project is not None and self.project.inlet is not None and not self.desk.busy
        for button in (self.images, self.scatter, self.loadings, self.umap):
            button.setEnabled(has)
        self.images.setText("MNF images" if has and self._name == "MNF" else "PC images")

    @property
    def _name(self) -> str:
        """What the project's projection is."""
        return "MNF" if self.noted("pca").get("settings", {}).get("method") == "mnf" else "PCA"

    def _method_chosen(self, *_: object) -> None:
        """Offer what only MNF has, and nothing of it with PCA, which refuses it."""
        mnf = self.fields.editors["method"].value() == "mnf"
        for name in ("edges", "denoise"):
            if not mnf:
                self.fields.editors[name].setValue(PcaConfig.model_fields[name].default)
            self.fields.show_field(name, mnf)
        self.fit.setText("Fit MNF" if mnf else "Fit PCA")

    def project_opened(self) -> None:
        """Show what the project's PCA was made with, and what it explains."""
        noted = self.noted("pca")
        self.fields.take(noted.get("settings", {}))
        self.explained.setText("")
        if "explained" in noted and self.project is not None and self.project.inlet == noted.get("inlet"):
            self.show_explained(noted)

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
        self.run(self.prepare.saving(fit_pca(self.project, config)), self._fitted, f"fitting the {config.method.upper()}")

    def fit_training_free(self) -> None:
        """Make the training-free projection the project's own."""
        if self.project is not None:
            self.run(self.prepare.saving(training_free_inlet(self.project, current=True)), self._fitted_training_free, "fitting the training-free MNF")

    def fit_umap(self) -> None:
        """Lay a sample of pixels out."""
        if self.project is None:
            return
        try:
            config = self.umap_fields.value()
        except ConfigError as error:
            self.say(str(error), "error")
            return
        self.run(fit_umap(self.project, config), partial(self._laid_out, config), "making the UMAP")

    def _laid_out(self, config: UmapConfig, report: dict[str, Any]) -> None:
        pixels = sum(report["pixels"].values())
        if self.project is not None:
            self.done = recipe.umap(self.project.folder, config)
        self.say(f"The UMAP of {pixels:,} pixels is in the scatter: choose it there or go back to components.")
        self.desk.inlet_changed.emit()
        self.desk.plot_wanted.emit("scatter")

    def _fitted_training_free(self, report: dict[str, Any]) -> None:
        if self.project is not None:
            self.done = recipe.training_free(self.project.folder)
        self.fields.take(self.noted("pca").get("settings", {}))
        self._fitted(report)

    def _fitted(self, report: dict[str, Any]) -> None:
        self.show_explained(report)
        self.warn(*report["warnings"])
        self.desk.inlet_changed.emit()
        self.desk.plot_wanted.emit("scatter")

    def show_explained(self, report: dict[str, Any]) -> None:
        """Say how much of the variance the components explain."""
        explained = np.asarray(report["explained"], dtype=np.float64)
        word = "MNF" if self._name == "MNF" else "PC"
        first = " · ".join(f"{word}{number} {share:.1%}" for number, share in enumerate(explained[:3], start=1))
        whole = "variance" if word == "PC" else "signal"
        self.explained.setText(f"{first}\n{report['components']} components: {explained.sum():.2%} of the {whole} of {report['pixels']:,} pixels")
