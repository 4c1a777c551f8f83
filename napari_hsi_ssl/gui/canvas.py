"""Keeps the canvas in step with the desk: the current cube, its mask, its labels and new maps appear without being asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.events import Event
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.browsing import make_copy, open_copy, worthwhile
from napari_hsi_ssl.cubes.cube import Classes, ClassMap
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.looks import resolve
from napari_hsi_ssl.gui import layers, mask_layers, result_layers
from napari_hsi_ssl.gui.desk import Desk
from napari_hsi_ssl.gui.jobs import Jobs, Update
from napari_hsi_ssl.gui.mask_history import history_for
from napari_hsi_ssl.gui.pictures import (
    Composite,
    CubePicture,
    band_pixels,
    band_words,
    composing,
    glance,
    picture,
    sample_limits,
    shown_type,
    window_outlines,
)
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

_PAUSE_MS = 50


class Canvas(QObject):
    """What the viewer shows of the desk's project. One a desk: use `canvas_for`.

    Attributes
    ----------
    map_shown : Signal(str)
        Path of a map that now lies over the image.
    mask_read : Signal(str)
        A cube whose mask was read anew and may be another one on the canvas now.
    looked : Signal(object)
        A `Composite` of the current cube that is now on the canvas.
    """

    map_shown = Signal(str)
    mask_read = Signal(str)
    looked = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.desk = desk
        self._jobs = Jobs(self)
        self._picture: CubePicture | None = None
        self._views: dict[tuple[Path, str], ViewConfig] = {}
        self._ordered: tuple[str, NDArray[Any]] | None = None
        self.composite: Composite | None = None
        """What is shown of the current cube in colour."""
        self._no_look = ""  # why the look that was asked for last cannot be had
        self._waiting: list[tuple[str, str, ClassMap]] = []
        self._overlay = "labels"
        self.grid_wanted = True
        """Whether new patches are outlined on the image."""
        layers.remove_safely(desk.viewer)
        desk.project_left.connect(self._forget)
        desk.cube_changed.connect(self.show_cube)
        desk.masks_changed.connect(self._masks_changed)
        desk.labels_changed.connect(self._labels_changed)
        desk.patches_changed.connect(self._patches_changed)
        desk.map_made.connect(self.show_map)
        desk.viewer.dims.events.current_step.connect(self._tell_band)
        desk.viewer.layers.selection.events.active.connect(self._tell_band)
        if desk.cube:
            self.show_cube(desk.cube)

    # -- the cube -------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Let go of the cube that was shown, and of what is still being read of its project: it would come late, over another cube."""
        self._jobs.forget()
        self._picture = self._ordered = self.composite = None
        self._waiting.clear()
        if self.desk.alive:
            history_for(self.desk.viewer).clear()

    def show_cube(self, name: str) -> None:
        """Read and show a cube of the project, its mask and its labels."""
        project = self.desk.project
        if project is None or not name:
            layers.clear_others(self.desk.viewer, "")
            return
        self._jobs.start(_open(project, name, self.view_of(name)), self._opened, label=f"opening {name}", slot="cube", on_error=self._failed)

    def _opened(self, found: tuple[CubePicture, NDArray[Any] | None, NDArray[Any] | None, Classes]) -> None:
        shown, mask, labels, classes = found
        name = shown.name
        if not self.desk.alive or name != self.desk.cube:  # the window may have closed meanwhile
            return
        viewer = self.desk.viewer
        first = self._picture is None or self._picture.cube.shape[:2] != shown.cube.shape[:2]
        mask_layers.hand_over(viewer, name, mask, labels)
        layers.clear_others(viewer, name, keep=("cube", "rgb"))
        self._picture, self._ordered = shown, None
        layers.show_cube(viewer, shown, self._read_band)
        self._composed(Composite(name, shown.composite, shown.look, shown.composite_limits, shown.complete))
        if not shown.complete:
            self._jobs.start(
                composing(name, shown.cube, shown.look, shown.step, shown.composite), self._filled, label=f"picture of {name}", slot="composite",
                on_update=self._composing, on_error=self._failed,
            )  # fmt: skip
        self._show_mask(name, mask)
        self._show_labels(name, labels, classes)
        if first:
            viewer.reset_view()
        self._tell_band()

    def _read_band(self, band: int) -> None:
        shown = self._picture
        if shown is not None:
            ordered = self._ordered[1] if self._ordered is not None and self._ordered[0] == shown.name else None
            self._jobs.start(_read(shown, ordered, band), self._band_read, label=f"band {band}", slot="band", on_error=self._failed)

    def _band_read(self, found: tuple[str, int, NDArray[Any], NDArray[Any] | None]) -> None:
        name, band, image, ordered = found
        shown = self.picture
        if shown is None or shown.name != name:
            return
        layers.band_arrived(self.desk.viewer, name, band, image)
        if ordered is not None:
            self._ordered = (name, ordered)
        elif worthwhile(shown.cube):
            # Whoever looks at one band will look at others: their file is put in order once, while the first is looked at.
            self._jobs.start(
                make_copy(shown.cube, shown_type(shown.cube.dtype), shown.step), partial(self._put_in_order, name), label=f"ordering {name} by bands",
                slot="ordering", on_error=self._failed,
            )  # fmt: skip

    def _put_in_order(self, name: str, ordered: NDArray[Any] | None) -> None:
        if ordered is not None and name == self.desk.cube:
            self._ordered = (name, ordered)

    # -- looks ----------------------------------------------------------------------------------------------------------

    def view_of(self, name: str) -> ViewConfig:
        """Return how a cube is looked at: as chosen for it, or for all cubes of the project, or by default."""
        folder = self.desk.project.folder if self.desk.project is not None else Path()
        return self._views.get((folder, name)) or self._views.get((folder, "")) or ViewConfig()

    def show_view(self, config: ViewConfig, *, everywhere: bool = False) -> None:
        """Look at the current cube in another way, and remember it for this session; the latest request wins.

        Parameters
        ----------
        everywhere : bool
            Look at all cubes of the project like this.
        """
        shown, project = self.picture, self.desk.project
        if shown is None or project is None:
            return
        if everywhere:
            self._views = {key: view for key, view in self._views.items() if key[0] != project.folder}
        self._views[project.folder, "" if everywhere else shown.name] = config
        layer = layers.find(self.desk.viewer, "rgb", shown.name)
        if layer is not None:
            layer.visible = True
        self._jobs.start(
            _look(shown, config), self._composed, label=f"picture of {shown.name}", slot="composite", on_update=self._composing, on_error=self._look_failed
        )

    def show_composite(self, bands: tuple[int, int, int]) -> None:
        """Show three bands as red, green and blue."""
        self.show_view(ViewConfig(kind="bands", bands=bands))

    def _composing(self, update: Update) -> None:
        there = [event["composite"] for event in update.events if "composite" in event]
        if there:
            self._composed(there[-1])

    def _composed(self, made: Composite) -> None:
        shown = self.picture
        if shown is None or made.cube != shown.name:
            return
        self.composite = made
        if self._no_look:
            self.desk.message.emit(self._no_look, "over")
            self._no_look = ""
        layers.show_composite(self.desk.viewer, made.cube, made.image, made.look.shown, shown.step)
        self.looked.emit(made)

    def _filled(self, made: Composite) -> None:
        self._composed(made)
        shown = self.picture
        if shown is not None and made.cube == shown.name:
            self._jobs.call(sample_limits, shown.cube, on_result=partial(self._set_limits, shown), slot="limits", on_error=self._failed)

    def _set_limits(self, shown: CubePicture, limits: tuple[float, float]) -> None:
        layers.set_band_limits(self.desk.viewer, shown.name, limits, shown.limits)

    @property
    def picture(self) -> CubePicture | None:
        """What is shown of the current cube, or None while it is being read."""
        return self._picture if self._picture is not None and self._picture.name == self.desk.cube and self.desk.alive else None

    def _tell_band(self, _: Event | None = None) -> None:
        viewer = self.desk.viewer
        text = viewer.canvas.overlays.text
        bands = layers.find(viewer, "cube", self.desk.cube)
        shown = layers.find(viewer, "pcs", self.desk.cube)
        step = layers.current_band(viewer)
        words = ""
        if bands is not None and bands.visible:
            words = band_words(step, bands.metadata["hsi"].get("wavelengths"), len(bands.data))
        elif shown is not None and shown.visible and step < len(shown.data):
            words = f"{shown.metadata['hsi']['word']} {step + 1} of {len(shown.data)}"
        text.text = words
        text.visible = bool(words)

    # -- masks, labels, patches, maps -------------------------------------------------------------------------------------

    def look_at(self, role: str) -> None:
        """Show the ``mask`` or the ``labels`` of a cube that has both: over each other neither can be read."""
        self._overlay = role
        viewer, cube = self.desk.viewer, self.desk.cube
        mask, labels = layers.find(viewer, "mask", cube), layers.find(viewer, "labels", cube)
        if mask is not None and labels is not None:
            mask.visible = role == "mask" and (layers.unsaved(mask) or not bool(np.all(mask.data)))
            labels.visible = role == "labels"

    def _uncover(self, cube: str, *roles: str) -> None:
        for layer in self.desk.viewer.layers:
            if layers.role_of(layer) in roles and layers.cube_of(layer) == cube and not layers.unsaved(layer):
                layer.visible = False

    def _masks_changed(self, name: str) -> None:
        self._reread(name, "mask")

    def _labels_changed(self, name: str) -> None:
        self._reread(name, "labels")

    def _reread(self, name: str, what: str) -> None:
        project, cube = self.desk.project, self.desk.cube
        if project is None or not cube or name not in {"", cube}:
            return
        if what == "mask":
            self._jobs.call(project.mask, cube, on_result=lambda mask: self._show_mask(cube, mask), slot="mask", on_error=self._failed)
        else:
            self._jobs.call(_labels, project, cube, on_result=lambda found: self._show_labels(cube, *found), slot="labels", on_error=self._failed)

    def _show_mask(self, cube: str, mask: NDArray[np.bool_] | None) -> None:
        if not self.desk.alive:  # the window has closed while it was read
            return
        old = layers.find(self.desk.viewer, "mask", cube)
        if mask is not None and not (old is not None and layers.unsaved(old)):
            mask_layers.show_mask(self.desk.viewer, cube, mask, saved=True)
            self.mask_read.emit(cube)

    def _show_labels(self, cube: str, labels: NDArray[np.int32] | None, classes: Classes) -> None:
        if not self.desk.alive:
            return
        old = layers.find(self.desk.viewer, "labels", cube)
        if labels is not None and not (old is not None and layers.unsaved(old)):
            mask_layers.show_labels(self.desk.viewer, cube, labels, classes, saved=True).visible = old is None or old.visible
            if old is None:
                self.look_at(self._overlay)

    def _patches_changed(self) -> None:
        if self.grid_wanted:
            self.show_grid()

    def show_grid(self) -> None:
        """Show the outlines of the current cube's patches."""
        project, cube = self.desk.project, self.desk.cube
        if project is not None and cube and project.patches is not None:
            self._jobs.call(_grid, project, cube, on_result=lambda image: self._show_grid(cube, image), slot="grid", on_error=self._failed)

    def _show_grid(self, cube: str, image: NDArray[np.uint8]) -> None:
        if not self.desk.alive:
            return
        self._uncover(cube, "mask", "labels")
        result_layers.show_grid(self.desk.viewer, cube, image)

    def show_components(self) -> None:
        """Show the component images of the current cube."""
        project, cube = self.desk.project, self.desk.cube
        if project is not None and cube:
            from napari_hsi_ssl.steps.pca import component_images

            self._jobs.call(component_images, project, cube, on_result=lambda found: self._show_components(cube, *found), slot="pcs", on_error=self._failed)

    def _show_components(self, cube: str, images: NDArray[np.float32], word: str) -> None:
        if not self.desk.alive:
            return
        bands = layers.find(self.desk.viewer, "cube", cube)
        if bands is not None:
            bands.visible = False
        self._uncover(cube, "mask", "labels", "map", "confidence", "grid")
        result_layers.show_components(self.desk.viewer, cube, images, word)
        self._tell_band()

    def show_map(self, path: str) -> None:
        """Show a saved map, when it is one of the current cube."""
        cube = Path(path).stem.split("--")[0]
        if cube == self.desk.cube:
            self._jobs.call(_saved_map, Path(path), on_result=lambda found: self._show_map(cube, path, *found), label="map", on_error=self._failed)

    def _show_map(self, cube: str, path: str, found: ClassMap, images: tuple[str, ...]) -> None:
        if not self.desk.alive:
            return
        for role in ("mask", "labels", "grid", "selection"):
            layer = layers.find(self.desk.viewer, role, cube)
            if layer is not None:
                layer.visible = False
        name = Path(path).stem.replace("--", " · ")
        shown = result_layers.show_map(self.desk.viewer, cube, found.labels, found.classes, name)
        shown.metadata["hsi"] |= {"path": path, "images": images}
        # Each new layer costs the window a tenth of a second and more: the hidden one waits until the map is drawn.
        self._waiting.append((cube, name, found))
        QTimer.singleShot(_PAUSE_MS, self._show_confidence)
        self.map_shown.emit(path)

    def _show_confidence(self) -> None:
        if not self._waiting:  # its project was left meanwhile
            return
        cube, name, found = self._waiting.pop(0)
        if self.desk.alive and cube == self.desk.cube:
            result_layers.show_confidence(self.desk.viewer, cube, found.confidence, name)

    def show_image_of_map(self, layer: Labels, name: str) -> None:
        """Show an image that goes with a map in place of its classes, read when it is asked for first; "" shows the classes again."""
        if not name or result_layers.layer_of(self.desk.viewer, layer, name) is not None:
            result_layers.show_layer(self.desk.viewer, layer, name)
            return
        from napari_hsi_ssl.cubes.writers import load_layer

        path = Path(layer.metadata["hsi"]["path"])
        self._jobs.call(load_layer, path, name, on_result=partial(self._show_image, layer, name), slot="image", label=name, on_error=self._failed)

    def _show_image(self, layer: Labels, name: str, image: NDArray[np.float32]) -> None:
        if self.desk.alive and layer in self.desk.viewer.layers:
            result_layers.show_layer(self.desk.viewer, layer, name, image)

    def _look_failed(self, error: BaseException, sentence: str, details: str) -> None:
        self._no_look = sentence
        self._failed(error, sentence, details)

    def _failed(self, _error: BaseException, sentence: str, _details: str) -> None:
        self.desk.message.emit(sentence, "error")


def canvas_for(desk: Desk) -> Canvas:
    """Return the canvas of a desk, the same one at every call."""
    return desk.findChild(Canvas) or Canvas(desk)


def _saved_map(path: Path) -> tuple[ClassMap, tuple[str, ...]]:
    """Return a saved map, and which images go with it."""
    from napari_hsi_ssl.cubes.writers import load_map, map_layers

    return load_map(path), ("confidence", *map_layers(path))


def _open(project: Project, name: str, config: ViewConfig) -> Steps[tuple[CubePicture, NDArray[Any] | None, NDArray[Any] | None, Classes]]:
    yield Progress(message=f"opening {name}")
    cube = project.cube(name)
    try:
        shown = picture(name, cube, config, quick=True)
    except ConfigError as error:  # what was chosen for all cubes may not fit this one
        shown = picture(name, cube, quick=True)
        shown = replace(shown, look=replace(shown.look, note=str(error)))
    yield Progress(message=f"mask and labels of {name}")
    return shown, project.mask(name), project.labels(name), project.classes


def _labels(project: Project, cube: str) -> tuple[NDArray[np.int32] | None, Classes]:
    return project.labels(cube), project.classes


def _read(shown: CubePicture, ordered: NDArray[Any] | None, band: int) -> Steps[tuple[str, int, NDArray[Any], NDArray[Any] | None]]:
    yield Progress()
    if ordered is None and worthwhile(shown.cube):
        ordered = open_copy(shown.cube, shown_type(shown.cube.dtype), shown.step)
    image = band_pixels(shown.cube, band, shown.step) if ordered is None else np.array(ordered[band], copy=True, subok=False)
    return shown.name, band, image, ordered


def _look(shown: CubePicture, config: ViewConfig) -> Steps[Composite]:
    yield Progress(message=f"picture of {shown.name}")
    look = resolve(shown.cube, config)
    first = glance(shown.name, shown.cube, look, shown.step)
    if first.complete:
        return first
    yield Progress(message=f"picture of {shown.name}", data={"composite": first})
    return (yield from composing(shown.name, shown.cube, look, shown.step, first.image))


def _grid(project: Project, cube: str) -> NDArray[np.uint8]:
    index = project.patch_index()
    shape = project.entry(cube).shape[:2]
    if cube not in index.cubes:
        return np.zeros(shape, dtype=np.uint8)
    here = index.cube == list(index.cubes).index(cube)
    return window_outlines(shape, index.y[here], index.x[here], index.size, index.split[here])
