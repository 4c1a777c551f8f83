"""What a training is set to: a page for each kind, with its devices folded away and what they cost beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_hsi_ssl.config import DistilConfig, PretrainConfig
from napari_hsi_ssl.errors import HsiError
from napari_hsi_ssl.gui.forms.devices import DevicePanel
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import Tabs
from napari_hsi_ssl.mapping.pretrained import NAME as PRETRAINED
from napari_hsi_ssl.project import Project

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.base import Form

_PRETRAIN, _DISTIL = range(2)
_DEVICES: Final = {"Device and precision": ("accelerator", "devices", "precision", "compiled")}
_KEPT: Final = ("inlet", "epochs", "batch_size", "seed", "accelerator", "devices", "precision", "compiled", "max_steps")
"""Settings that a change of recipe leaves alone."""
_ELSEWHERE: Final = {"pretrain": ("augment", "neighbour"), "distil": ("augment",)}
"""Settings without an editor on the page: views are set where they are previewed."""
_HINTS: Final = {
    "recipe": "poster: wide windows, both views of one window; pixel: small windows and neighbours as positives, made for maps of single pixels",
    "epochs": "How often every patch is seen",
    "batch_size": "Patches that are trained on together",
    "learning_rate": "Step size of the optimiser at its peak",
    "weight_decay": "How strongly weights are drawn towards zero",
    "seed": "The same seed, data and settings train the same network",
    "accelerator": "auto takes a GPU where there is one",
    "devices": "Number of GPUs or CPU ranks; auto takes what there is",
    "precision": "Of the arithmetic; auto takes what the device does well",
    "temperature": "Of the contrastive loss (pretraining) or of the soft targets (self-distillation)",
    "label_smoothing": "Share of every label that is spread over the other classes, against overconfidence",
    "input": "What the network sees of a pixel: the principal components or all bands",
}
_INLETS: Final = {"pca": "frozen projection", "learned": "learned per camera"}
_CHOICES: Final = {
    **_INLETS,
    "both": "both ways",
    "deep": "the deepest exit",
    "early": "the earlier exits",
    "past": "its own past",
    "none": "nobody",
    "off": "as they are",
    "weights": "weigh more",
    "sampling": "are drawn more often",
    "pcs": "components",
    "bands": "all bands",
}


class TrainingSettings(Tabs):
    """The settings of SimCLR pretraining and of self-distillation; the page on top is the kind that is trained next.

    Parameters
    ----------
    form : Form
        Runs the trial that compares devices.

    Attributes
    ----------
    recipe_changed : Signal()
        Another recipe brought its settings.
    pretrain, distil : ConfigFields
        The settings of each kind.
    inits : list of QComboBox
        One a page: the run whose trunk that training starts from.
    machines : list of DevicePanel
        One a page.
    """

    recipe_changed = Signal()

    def __init__(self, form: Form) -> None:
        super().__init__()
        common = ("learning_rate", "weight_decay", "temperature")
        self.pretrain = ConfigFields(
            PretrainConfig,
            ("recipe", "inlet", "epochs", "batch_size"),
            (*common, "projection", "seed"),
            folds=_DEVICES,
            hints=_HINTS,
            words=_INLETS,
        )
        self.distil = ConfigFields(
            DistilConfig,
            ("epochs", "batch_size", "window", "direction", "input"),
            (
                *("inlet", "whiten", "blocks", "freeze"),
                *("distil_weight", "feature_weight", "temperature", "ramp_up"),
                *("label_smoothing", "balance", "learning_rate", "warm_up", "schedule", "weight_decay", "seed"),
            ),
            folds=_DEVICES,
            labels={"direction": "Who teaches", "freeze": "Train only the exits", "balance": "Rare classes", "ramp_up": "Teaching rises for"},
            hints=_HINTS,
            words=_CHOICES,
        )
        self.inits = [self._start_of(fields, place) for fields, place in ((self.pretrain, 1), (self.distil, 0))]
        self.machines: list[DevicePanel] = []
        pages: tuple[tuple[ConfigFields[Any], str, str], ...] = (
            (self.pretrain, "SimCLR pretraining", "Learns from the patches alone, without labels"),
            (self.distil, "Self-distillation", "Learns from the labels of the project's cubes"),
        )
        for page, (fields, title, tooltip) in enumerate(pages):
            machine = DevicePanel(form, fields)
            fields.rows["devices"].addRow(machine)
            self.machines.append(machine)
            self.addTab(_page(fields), title)
            self.setTabToolTip(page, tooltip)
        self._recipe = self.pretrain.value().recipe
        self.pretrain.changed.connect(self._recipe_chosen)

    @property
    def pretraining(self) -> bool:
        """Whether the page of pretraining is on top."""
        return self.currentIndex() == _PRETRAIN

    def value(self) -> PretrainConfig | DistilConfig:
        """Return the settings of the page on top.

        Raises
        ------
        ConfigError
            When they contradict each other.
        """
        return self.pretrain.value() if self.pretraining else self.distil.value()

    def setValue(self, config: PretrainConfig | DistilConfig) -> None:
        """Show settings, with the page of their kind on top."""
        self.setCurrentIndex(_PRETRAIN if isinstance(config, PretrainConfig) else _DISTIL)
        self._show(config)

    def trunk(self) -> str | None:
        """Return the run whose trunk the training of the page on top starts from; None for random weights."""
        init = self.inits[self.currentIndex()]
        return init.currentText() if init.currentIndex() > 0 else None

    def offer_trunks(self, runs: Sequence[str]) -> None:
        """Offer pretrained runs to start from; the choices are kept where they still can be."""
        for init in self.inits:
            kept = init.currentText()
            init.clear()
            init.addItems(["random weights", PRETRAINED, *runs])
            init.setItemData(1, "The trunk that comes with the program, behind this project's own projection", Qt.ItemDataRole.ToolTipRole)
            init.setCurrentIndex(max(0, init.findText(kept)))

    def show_last(self, project: Project, runs: Sequence[Mapping[str, Any]]) -> None:
        """Show what the last run of each kind was trained with; settings that are not on the form stay as their recipe has them."""
        forms: dict[str, ConfigFields[Any]] = {"pretrain": self.pretrain, "distil": self.distil}
        for kind, fields in forms.items():
            last = next((run["run"] for run in reversed(runs) if run["kind"] == kind), None)
            if last is None:
                continue
            try:
                config = project.run_folder(last).config.trainer
                shown = {name: getattr(config, name) for name in (*fields.editors, *_ELSEWHERE[kind])}
                recipe = shown.pop("recipe", None)
                self._show(DistilConfig.parse(shown) if recipe is None else PretrainConfig.from_recipe(recipe, **shown))
            except (HsiError, OSError):
                continue  # the list of runs says what is wrong with it

    def fit_batch(self, patches: int) -> int | None:
        """Lower the batch size of pretraining to what so many training patches fill; return it where it was too large."""
        config = self.pretrain.value()
        if not 2 <= patches < config.batch_size:
            return None
        lower = 2 ** int(np.log2(patches))
        self.pretrain.setValue(config.model_copy(update={"batch_size": lower}))
        return lower

    def _start_of(self, fields: ConfigFields[Any], place: int) -> QComboBox:
        init = QComboBox()
        init.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        init.setMinimumContentsLength(12)
        init.setToolTip(
            "A pretrained run whose trunk is carried over, its depth and widths with it; with a learned inlet also to cubes of a camera that it never saw"
        )
        fields.rows["epochs"].insertRow(place, "Start from", init)
        return init

    def _show(self, config: PretrainConfig | DistilConfig) -> None:
        if isinstance(config, PretrainConfig):
            self._recipe = config.recipe
            self.pretrain.setValue(config)
        else:
            self.distil.setValue(config)

    def _recipe_chosen(self, config: PretrainConfig) -> None:
        if config.recipe != self._recipe:
            self._recipe = config.recipe
            self.pretrain.setValue(PretrainConfig.from_recipe(config.recipe, **{name: getattr(config, name) for name in _KEPT}))
            self.recipe_changed.emit()


def _page(fields: QWidget) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 6, 0, 0)
    layout.addWidget(fields)
    layout.addStretch(1)
    return page
