"""Masks by a rule: thresholds, spectral angle to picked pixels, clusters; the mask on the canvas follows the settings."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledDoubleRangeSlider, QLabeledDoubleSlider

from napari_hsi_ssl.config import MaskConfig
from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.gui import layers, mask_layers
from napari_hsi_ssl.gui.forms.fields import ConfigFields
from napari_hsi_ssl.gui.forms.pieces import boxed, plain_button, row, words_label
from napari_hsi_ssl.gui.masking import ClusterPicture, NewMask, angle_picture, cluster_picture, near, of_clusters, ruled, value_range
from napari_hsi_ssl.progress import Steps

if TYPE_CHECKING:
    from napari_hsi_ssl.gui.forms.mask import MaskForm

PREVIEW_MS = 150
LIVE_MS = 30
"""Between two cuts of an angle image that is in memory, while the slider is dragged."""
_ONE_STEP_S = 1.0
"""Changes of a rule that follow one another faster are taken back at once."""
_CHIPS_A_ROW = 4
_ELSEWHERE = ("grow", "labels", "saved", "file")
_NEEDED: dict[str, set[str]] = {
    "otsu": {"source", "keep"},
    "threshold": {"source"},
    "angle": set(),
    "kmeans": {"clusters", "features"},
}
_HINTS = {
    "method": "Otsu finds the threshold itself (Shift+O); between two values (Shift+T); angle keeps pixels whose spectrum is near that of "
    "picked ones (Shift+R); clusters shows kinds of pixels to click away (Shift+K); all uses the whole image. Shift+N goes on to the next cube",
    "invert": "Swap foreground and background at the end",
    "fill_holes": "Count holes inside an object as foreground",
    "clusters": "How many kinds of pixels are told apart",
    "features": "Compare whole spectra, or their shape alone, blind to brightness and shade",
}
COMBINE = {"replace": "replaces the mask", "add": "is added to it", "intersect": "is intersected with it", "subtract": "is taken away from it"}


class RulePage(QWidget):
    """The settings of a rule, with what it needs from the image.

    Attributes
    ----------
    fields : ConfigFields
    picks : list of (int, int)
        Reference pixels of the spectral angle, of the cube ``picks_of``.
    clusters : ClusterPicture or None
        The proposal that is shown.
    foreground : set of int
        The clusters that are kept.
    """

    def __init__(self, form: MaskForm) -> None:
        super().__init__()
        self.form = form
        self.picks: list[tuple[int, int]] = []
        self.picks_of = ""
        self.clusters: ClusterPicture | None = None
        self.foreground: set[int] = set()
        self._clusters_of: tuple[Any, ...] = ()
        self._angles: tuple[tuple[Any, ...], NDArray[np.float32]] | None = None
        self.range_of = ""
        self._cutting = self._again = False
        self._last = 0.0
        form.desk.project_left.connect(self.forget)
        self._taken: tuple[tuple[int, int], ...] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.fields: ConfigFields[MaskConfig] = ConfigFields(
            MaskConfig,
            ("method", "source", "band", "keep", "clusters", "features"),
            ("fill_holes", "drop_specks", "invert"),
            labels={"source": "Image", "drop_specks": "Drop specks under (px)", "fill_holes": "Fill holes", "features": "Compare"},
            hints=_HINTS,
            words={
                "otsu": "Otsu threshold", "threshold": "between two values", "angle": "spectral angle", "kmeans": "clusters (k-means)",
                "all": "whole image", "pc1": "component 1", "spectra": "whole spectra", "shape": "their shape (SNV)",
            },
        )  # fmt: skip
        _hide_choices(self.fields.editors["method"].widget, _ELSEWHERE)
        layout.addWidget(self.fields)
        self.range = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.range.setToolTip("Pixels with values between the two handles are kept")
        self.range.setRange(0, 1)
        self.range.setValue((0, 1))
        layout.addWidget(self.range)
        layout.addWidget(self._angle())
        layout.addWidget(self._kinds())
        self.combine = QComboBox()
        self.combine.addItems(list(COMBINE.values()))
        self.combine.setToolTip("What becomes of the mask on the canvas: the rule's result replaces it, or the two are combined")
        self.keep = plain_button("Keep", "Take the mask as it is now: the next rule is combined with it")
        self.keep.clicked.connect(form.forget_base)
        layout.addLayout(row(QLabel("The result"), self.combine, self.keep, None))
        self.live = QCheckBox("Preview while I change the rule")
        self.live.setChecked(True)
        self.live.setToolTip("The mask on the canvas follows the settings; nothing is saved before you say so")
        layout.addWidget(self.live)
        self._timer = QTimer(self, singleShot=True, interval=PREVIEW_MS)
        self._timer.timeout.connect(self.preview)
        self._live_timer = QTimer(self, singleShot=True, interval=LIVE_MS)
        self._live_timer.timeout.connect(self.preview)
        self.fields.changed.connect(self._changed)
        self.range.valueChanged.connect(self.preview_soon)
        self.angle.valueChanged.connect(self._angle_moved)
        self.combine.currentIndexChanged.connect(self._combine_changed)
        self.arrange(self.fields.value())

    def _angle(self) -> QWidget:
        self.pick = self.form.needs_project(
            plain_button("Pick reference pixel", "Click pixels on the image, or move with the arrow keys and press Enter: spectra near any of them are kept")
        )
        self.pick.setCheckable(True)
        self.pick.toggled.connect(lambda on: self.form.point("angle" if on else ""))
        self.clear = plain_button("Clear", "Forget the picked pixels")
        self.clear.clicked.connect(self.clear_picks)
        self.picked = words_label("#9aa4b0")
        self.angle = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.angle.setRange(0.005, 0.6)
        self.angle.setDecimals(3)
        self.angle.setSingleStep(0.005)
        self.angle.setValue(0.1)
        self.angle.setToolTip("Largest spectral angle in radians that is kept; the mask follows while you drag")
        layout = QVBoxLayout()
        layout.setSpacing(4)
        layout.addLayout(row(self.pick, self.clear, None))
        layout.addWidget(self.picked)
        layout.addLayout(row(QLabel("Largest angle (rad)"), self.angle))
        self.angle_box = boxed(layout)
        return self.angle_box

    def _kinds(self) -> QWidget:
        self.click = self.form.needs_project(
            plain_button(
                "Click background on the image", "Click a cluster on the image (or arrow keys and Enter): it becomes background, with Shift foreground again"
            )
        )
        self.click.setCheckable(True)
        self.click.toggled.connect(lambda on: self.form.point("clusters" if on else ""))
        self.chips: list[QPushButton] = []
        self._chip_grid = QGridLayout()
        self._chip_grid.setContentsMargins(0, 0, 0, 0)
        self._chip_grid.setSpacing(3)
        hint = words_label("#9aa4b0")
        hint.setText("Pressed clusters are foreground, the darkest is 0; those at the border are proposed as background. Shift-click brings one back.")
        layout = QVBoxLayout()
        layout.setSpacing(4)
        layout.addLayout(row(self.click, None))
        layout.addLayout(self._chip_grid)
        layout.addWidget(hint)
        self.kinds_box = boxed(layout)
        return self.kinds_box

    # -- the rule ---------------------------------------------------------------------------------------------------------

    def rule(self) -> MaskConfig:
        """Return the rule as it stands.

        Raises
        ------
        ConfigError
            When something is missing: a band, or a reference pixel.
        """
        config = self.fields.value()
        changes: dict[str, Any] = {"combine": list(COMBINE)[self.combine.currentIndex()]}
        if config.method == "threshold":
            low, high = self.range.value()
            changes |= {"low": low, "high": high if high < self.range.maximum() else None}
        elif config.method == "angle":
            if not self.picks:
                raise ConfigError("The angle needs a reference: press “Pick reference pixel” and click one on the image.")
            changes |= {"at": tuple(self.picks), "reference": self._other(self.picks_of), "max_angle": round(self.angle.value(), 4)}
        elif config.method == "kmeans" and self.clusters is not None:
            changes |= {"foreground": tuple(sorted(self.foreground)), "reference": self._other(self._clusters_of[0])}
        elif config.method == "otsu" and config.source == "band" and config.band is None:
            changes["band"] = layers.current_band(self.form.desk.viewer)
        if config.method == "threshold" and config.source == "band" and config.band is None:
            changes["band"] = layers.current_band(self.form.desk.viewer)
        return config.model_copy(update=changes)

    def rule_for_all(self) -> MaskConfig:
        """Return the rule for several cubes: what was picked or clustered on one is what all are compared with."""
        config = self.rule()
        source = self.picks_of if config.method == "angle" else self._clusters_of[0] if config.method == "kmeans" and self._clusters_of else None
        return config.model_copy(update={"reference": source or config.reference})

    def _other(self, cube: str) -> str | None:
        return None if cube in {"", self.form.desk.cube} else cube

    def arrange(self, config: MaskConfig) -> None:
        """Show what the rule needs and hide the rest."""
        needed = _NEEDED.get(config.method, set())
        for name in ("source", "keep", "clusters", "features"):
            self.fields.show_field(name, name in needed)
        self.fields.show_field("band", "source" in needed and config.source == "band")
        self.fields.show_field("fill_holes", config.method in {"otsu", "threshold", "angle"})
        self.fields.show_field("drop_specks", config.method != "all")
        self.range.setVisible(config.method == "threshold")
        self.angle_box.setVisible(config.method == "angle")
        self.kinds_box.setVisible(config.method == "kmeans")
        self.keep.setVisible(self.combine.currentIndex() > 0)
        if config.method != "angle":
            self.pick.setChecked(False)
        if config.method != "kmeans":
            self.click.setChecked(False)
        self._tell_picks()
        if config.method == "threshold":
            self.find_range(config)

    def _changed(self, config: MaskConfig) -> None:
        if config.method == "angle" and config.at not in {(), self._taken}:  # settings that were handed over, not edited here
            self._taken = config.at
            self.picks, self.picks_of = list(config.at), config.reference or self.form.desk.cube
            self.angle.setValue(config.max_angle)
        self.arrange(config)
        if config.method == "angle" and not self.picks:
            self._timer.stop()  # there is nothing to show yet, and nothing to complain about
        else:
            self._timer.start()

    def _combine_changed(self, _index: int) -> None:
        self.form.forget_base()
        self.keep.setVisible(self.combine.currentIndex() > 0)
        self.preview_soon()

    def _angle_moved(self, *_: object) -> None:
        if not self._live_timer.isActive():
            self._live_timer.start()

    def preview_soon(self, *_: object) -> None:
        """Show the rule's mask a moment later, when the user pauses."""
        self._timer.start()

    def stop_previews(self) -> None:
        """Show no mask that was meant for another cube, or asked for before something else."""
        self._timer.stop()
        self._live_timer.stop()
        self._cutting = self._again = False

    # -- the preview ------------------------------------------------------------------------------------------------------

    def preview(self) -> None:
        """Show the mask that the rule gives, without saving it; the latest request wins."""
        form = self.form
        if not self.live.isChecked() or form.project is None or not form.desk.cube:
            return
        try:
            config = self.rule()
        except ConfigError as error:
            form.say(str(error), "warning")
            return
        if config.method == "angle":
            self._by_angle(config)
        elif config.method == "kmeans":
            self._by_clusters(config)
        else:
            self._start(config, None)

    def _start(self, config: MaskConfig, found: Steps[NDArray[np.bool_]] | None) -> None:
        form = self.form
        if form.project is not None:
            steps = ruled(form.project, form.desk.cube, config, form.base(config.combine), found)
            form.jobs.start(steps, partial(self._found, form.desk.cube), label="mask", slot="preview", on_error=self._failed)

    def _found(self, cube: str, new: NewMask) -> None:
        now = time.monotonic()
        self.form.show_rule(cube, new, follows=now - self._last < _ONE_STEP_S)
        self._last = now
        self._cutting = False
        if self._again:
            self._again = False
            self.preview()

    def _failed(self, error: BaseException, sentence: str, details: str) -> None:
        self._cutting = self._again = False
        self.form.preview_failed(error, sentence, details)

    def _by_angle(self, config: MaskConfig) -> None:
        form = self.form
        key = (form.desk.cube, config.reference, config.at)
        if self._angles is not None and self._angles[0] == key:
            if self._cutting:  # the one under way is shown first: otherwise a fast hand would see nothing move
                self._again = True
                return
            self._cutting = True
            self._start(config, near(self._angles[1], config))
        elif form.project is not None:
            steps = angle_picture(form.project, form.desk.cube, config)
            form.jobs.start(steps, partial(self._angles_found, key), label="spectral angles", slot="angles", on_error=self._failed)

    def _angles_found(self, key: tuple[Any, ...], angles: NDArray[np.float32]) -> None:
        self._angles = (key, angles)
        self._cutting = False
        self.preview()

    def _by_clusters(self, config: MaskConfig) -> None:
        form = self.form
        key = (form.desk.cube, config.clusters, config.features)
        if self.clusters is not None and self._clusters_of == key:
            self._start(config, of_clusters(self.clusters.numbers, config))
        elif form.project is not None:
            form.say("Looking for clusters …")
            plain = config.model_copy(update={"reference": None, "foreground": None})
            steps = cluster_picture(form.project, form.desk.cube, plain)
            form.jobs.start(steps, partial(self._clusters_found, key), label="clusters", slot="clusters", on_error=self._failed)

    def _clusters_found(self, key: tuple[Any, ...], found: ClusterPicture) -> None:
        if key[0] != self.form.desk.cube:
            return
        self.clusters, self._clusters_of = found, key
        self.foreground = set(range(found.clusters.count)) - set(found.clusters.background())
        self._show_chips()
        self.form.say("")
        if self.fields.value().method == "kmeans" and self.isVisibleTo(self.form):  # the user may have gone elsewhere meanwhile
            self.click.setChecked(True)
            self.show_clusters()
            self.preview()

    # -- what is picked -----------------------------------------------------------------------------------------------------

    def add_pick(self, y: int, x: int) -> None:
        """Take a pixel of the current cube as one more reference; a picked one is given up."""
        if self.picks_of != self.form.desk.cube:
            self.picks, self.picks_of = [], self.form.desk.cube
        if (y, x) in self.picks:
            self.picks.remove((y, x))
        else:
            self.picks.append((y, x))
        self._tell_picks()
        self.preview()

    def clear_picks(self) -> None:
        """Forget all reference pixels."""
        self.picks, self.picks_of = [], ""
        self._tell_picks()

    def _tell_picks(self) -> None:
        shown = self.fields.value().method == "angle" and self.picks_of == self.form.desk.cube
        self.form.picker.mark(self.picks if shown else [])
        of = f" of {self.picks_of}" if self._other(self.picks_of) else ""
        places = ", ".join(f"({y}, {x})" for y, x in self.picks[:6]) + (" …" if len(self.picks) > 6 else "")
        self.picked.setText(f"Near any of {places}{of} (y, x)" if self.picks else "No pixel is picked yet.")
        self.clear.setEnabled(bool(self.picks))

    def click_away(self, y: int, x: int, back: bool = False) -> None:
        """Make the cluster of a pixel background, or bring it ``back``; a second click changes nothing, and says so."""
        number = -1 if self.clusters is None else int(self.clusters.numbers[y, x])
        if number < 0:
            return
        if (number in self.foreground) != back:
            self.toggle(number)
        else:
            self.form.say(f"Cluster {number} is {'foreground' if back else 'background'} already; {'a' if back else 'Shift and a'} click makes it the other.")

    def toggle(self, number: int, *_: object) -> None:
        """Toggle a cluster between background and foreground."""
        self.foreground ^= {number}
        for place, chip in enumerate(self.chips):
            chip.setChecked(place in self.foreground)
        self.show_clusters()
        self.preview()

    def show_clusters(self) -> None:
        """Lay the clusters over the image, the background ones faint."""
        if self.clusters is not None and self._clusters_of[0] == self.form.desk.cube:
            count = self.clusters.clusters.count
            faded = [number + 1 for number in range(count) if number not in self.foreground]
            mask_layers.show_clusters(self.form.desk.viewer, self.form.desk.cube, self.clusters.numbers + 1, palette(count), faded)

    def hide_clusters(self) -> None:
        """Take the clusters off the image."""
        mask_layers.hide_clusters(self.form.desk.viewer)

    def _show_chips(self) -> None:
        assert self.clusters is not None  # it is called when they have come
        for chip in self.chips:
            self._chip_grid.removeWidget(chip)
            chip.deleteLater()
        self.chips = []
        for number, (colour, share) in enumerate(zip(palette(self.clusters.clusters.count), self.clusters.shares, strict=True)):
            words = f"Cluster {number}, {share:.1%} of the pixels; pressed it is foreground"
            chip = plain_button(f"{number}: {share:.0%}", words)
            chip.setCheckable(True)
            chip.setChecked(number in self.foreground)
            chip.setIcon(_square(colour))
            chip.clicked.connect(partial(self.toggle, number))
            self.chips.append(chip)
            self._chip_grid.addWidget(chip, number // _CHIPS_A_ROW, number % _CHIPS_A_ROW)

    # -- values to threshold between ------------------------------------------------------------------------------------------

    def cube_changed(self) -> None:
        """Forget what belongs to the cube before."""
        self.stop_previews()
        self.click.setChecked(False)
        if self.clusters is not None and self._clusters_of[0] != self.form.desk.cube:
            self._forget_clusters()
        self._tell_picks()

    def forget(self) -> None:
        """Forget what belongs to the project before: a cube of the next one may have the same name."""
        self._angles, self.range_of = None, ""
        self.picks, self.picks_of = [], ""
        self._forget_clusters()

    def _forget_clusters(self) -> None:
        self.clusters, self.foreground, self._clusters_of = None, set(), ()
        for chip in self.chips:
            self._chip_grid.removeWidget(chip)
            chip.deleteLater()
        self.chips = []

    def refresh(self) -> None:
        """Bring the range of values up to date."""
        if self.range.isVisibleTo(self) and not self.range_of.startswith(f"{self.form.desk.cube}/"):
            self.find_range(self.fields.value(), preview=False)

    def find_range(self, config: MaskConfig, preview: bool = True) -> None:
        """Read the values between which the handles move."""
        form = self.form
        wanted = f"{form.desk.cube}/{config.source}/{config.band}"
        if form.project is None or not form.desk.cube or wanted == self.range_of:
            return
        self.range_of = wanted
        steps = value_range(form.project, form.desk.cube, config)
        form.jobs.start(steps, partial(self._show_range, preview), slot="range", on_error=self._failed)

    def _show_range(self, preview: bool, limits: tuple[float, float]) -> None:
        blocked = self.range.blockSignals(True)
        self.range.setRange(*limits)
        self.range.setValue((limits[0] + 0.2 * (limits[1] - limits[0]), limits[1]))
        self.range.blockSignals(blocked)
        if preview:  # a cube that is only looked at keeps the mask it has
            self.preview_soon()


def _hide_choices(box: Any, hidden: tuple[str, ...]) -> None:  # noqa: ANN401 - a QComboBox
    """Keep the last choices of a box out of sight and out of the keyboard's reach; the settings still know them."""
    for index in range(box.count() - len(hidden), box.count()):
        box.view().setRowHidden(index, True)
        box.model().item(index).setEnabled(False)


def _square(colour: str) -> QIcon:
    pixmap = QPixmap(QSize(12, 12))
    pixmap.fill(QColor(colour))
    return QIcon(pixmap)
