"""How layers of the viewer are found, put in and changed; those of cubes and of drawn shapes.

A layer of ours carries ``metadata["hsi"] = {"role": …, "cube": …}``: it is found again by that, updated in place rather than
added twice, and keeps its place in the stack. Layers of other plugins are left alone. What lies over a cube is in `mask_layers` and
`result_layers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.layers import Image, Layer, Shapes
from numpy.typing import NDArray

from napari_hsi_ssl.gui.bandstack import BandStack
from napari_hsi_ssl.gui.pictures import CubePicture, band_words

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

ROLES = (
    "cube", "rgb", "pcs", "confidence", "map", "live", "swipe", "differences", "painted", "sureness", "clusters", "heat", "mask", "labels", "split",
    "strokes", "selection", "grid", "next", "draw", "why", "picks",
)  # fmt: skip
"""From the bottom of the stack to its top."""
STAYING = ("draw", "why", "picks")
"""Roles of no cube: their layer is emptied and hidden rather than taken away, which would have napari collect garbage."""
_TITLES = {
    "clusters": "clusters", "cube": "bands", "rgb": "RGB", "confidence": "confidence", "map": "map", "live": "live map",
    "mask": "mask", "labels": "labels", "grid": "patches", "heat": "patch coverage", "selection": "selection",
    "split": "split",
    "strokes": "strokes", "painted": "painted map", "sureness": "painted map confidence", "next": "paint next",
}  # fmt: skip


# -- the window ---------------------------------------------------------------------------------------------------------


def canvas_widget(viewer: Viewer) -> QWidget | None:
    """Return the widget that draws a viewer's canvas; None for a viewer without a window."""
    window = getattr(viewer, "window", None)
    return None if window is None else window._qt_viewer.canvas.native


def remove_safely(viewer: Viewer) -> None:
    """Make the canvas's OpenGL context the current one before any layer goes, whoever takes it away.

    napari deletes a removed layer's shaders, textures and buffers right then, in whatever context happens to be current: with
    Mesa (here 22.3, llvmpipe) that unbinds the shaders of the layers that stay, and the second frame after it ends the process.
    """
    this = ref(viewer)

    def going(_event: object) -> None:
        viewer = this()
        native: Any = None if viewer is None else canvas_widget(viewer)
        if native is not None:
            native.makeCurrent()

    viewer.layers.events.removing.connect(going)


# -- finding ----------------------------------------------------------------------------------------------------------


def role_of(layer: Layer) -> str:
    """Return what a layer is for; "" when it is none of ours."""
    return str(layer.metadata.get("hsi", {}).get("role", ""))


def cube_of(layer: Layer) -> str:
    """Return the cube a layer belongs to; "" when it is none of ours."""
    return str(layer.metadata.get("hsi", {}).get("cube", ""))


def find(viewer: Viewer, role: str, cube: str | None = None) -> Any:  # noqa: ANN401 - the layer's type follows its role
    """Return the layer of a role (and a cube), or None."""
    for layer in viewer.layers:
        if role_of(layer) == role and (cube is None or cube_of(layer) == cube):
            return layer
    return None


def mark_unsaved(layer: Layer, unsaved: bool = True) -> None:
    """Remember whether a layer holds something that is not on disk yet."""
    layer.metadata["hsi"]["unsaved"] = unsaved


def unsaved(layer: Layer) -> bool:
    """Whether a layer holds something that is not on disk yet."""
    return bool(layer.metadata.get("hsi", {}).get("unsaved", False))


def clear_others(viewer: Viewer, cube: str, keep: Sequence[str] = ()) -> None:
    """Take away the layers of other cubes but those of some roles; what is not saved yet is hidden instead."""
    for layer in [layer for layer in viewer.layers if role_of(layer) not in {"", *STAYING, *keep} and cube_of(layer) != cube]:
        if unsaved(layer):
            layer.visible = False
        else:
            viewer.layers.remove(layer)
    for layer in viewer.layers:
        if cube_of(layer) == cube and unsaved(layer):
            layer.visible = True


def add_layer(viewer: Viewer, layer: Layer, role: str, cube: str, **more: Any) -> Any:  # noqa: ANN401
    """Mark a layer as ours, and put it into its place in the stack."""
    layer.metadata["hsi"] = {"role": role, "cube": cube, **more}
    rank = ROLES.index(role)
    below = [index for index, other in enumerate(viewer.layers) if role_of(other) in ROLES and ROLES.index(role_of(other)) <= rank]
    place = below[-1] + 1 if below else next((index for index, other in enumerate(viewer.layers) if role_of(other)), len(viewer.layers))
    active = viewer.layers.selection.active
    viewer.layers.insert(place, layer)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
    return layer


def swap(layer: Any, data: NDArray[Any]) -> None:  # noqa: ANN401
    """Give a layer new data; in place with the lean refresh where shape and type allow (half the time of ``layer.data = ``)."""
    if isinstance(layer.data, np.ndarray) and layer.data.shape == data.shape and layer.data.dtype == data.dtype and layer.data.flags.writeable:
        np.copyto(layer.data, data)
        layer.refresh(thumbnail=False, extent=False, highlight=False)
    else:
        layer.data = data


def title_of(role: str, cube: str) -> str:
    """Return what the layer of a role and a cube is called."""
    return f"{cube} {_TITLES[role]}"


# -- cubes ------------------------------------------------------------------------------------------------------------


def show_cube(viewer: Viewer, shown: CubePicture, read_later: Callable[[int], None]) -> Image:
    """Show a cube: one layer (band, y, x), hidden under a colour composite.

    Parameters
    ----------
    viewer : Viewer
    shown : CubePicture
    read_later : callable
        Called with a band's index when a band is wanted that is not in memory yet.

    Returns
    -------
    Image
        The layer of the bands.
    """
    name, step = shown.name, shown.step
    data: Any = shown.bands_first
    if data is None:
        shape = (*shown.first.shape, shown.cube.shape[2])
        data = BandStack(shape, shown.band, shown.first, read_later, provisional=not shown.complete)
    elif step > 1:
        data = data[:, ::step, ::step]
    # The slider counts bands, which lie unevenly in wavelength, so the axis keeps a scale of 1: status bar and canvas tell the nm.
    axis = "band" if shown.wavelengths is None else "wavelength"
    bands, composite = find(viewer, "cube"), find(viewer, "rgb")
    if bands is None or composite is None:
        bands = Image(data, name=title_of("cube", name), colormap="gray", visible=False, multiscale=False, rgb=False, contrast_limits=shown.limits)
        tell_band(bands)
        _place(bands, step, 3)
        bands.axis_labels = (axis, "y", "x")
        add_layer(viewer, bands, "cube", name)
        composite = Image(shown.composite, name=title_of("rgb", name), rgb=True)
        tell_band(composite)
        _place(composite, step, 2)
        add_layer(viewer, composite, "rgb", name)
    else:
        # The layers of the cube before are taken over: at every layer that is taken away napari collects garbage, a quarter of a second.
        bands.visible = False
        bands.data, bands.name, bands.axis_labels = data, title_of("cube", name), (axis, "y", "x")
        bands.contrast_limits = shown.limits
        bands.contrast_limits_range = shown.limits
        _place(bands, step, 3)
        swap(composite, shown.composite)
        composite.name, composite.visible = title_of("rgb", name), True
        _place(composite, step, 2)
    told = {"cube": name, "wavelengths": shown.wavelengths, "count": shown.cube.shape[2], "step": step}
    bands.metadata["hsi"] = {"role": "cube", **told}
    composite.metadata["hsi"] = {"role": "rgb", "bands": shown.composite_bands, **told}
    viewer.dims.set_current_step(0, shown.band)
    viewer.layers.selection.active = composite
    return bands


def _place(layer: Image, step: int, axes: int) -> None:
    """Put an image of every n-th row and column where it covers what the whole one would."""
    before = (1.0,) * (axes - 2)
    scale, translate = (*before, float(step), float(step)), (*(0.0 for _ in before), (step - 1) / 2, (step - 1) / 2)
    layer.scale = scale  # even the same one: of another extent napari learns from this alone where a layer is hidden
    if tuple(layer.translate) != translate:
        layer.translate = translate


def show_composite(viewer: Viewer, cube: str, image: NDArray[np.uint8], bands: tuple[int, ...], step: int = 1) -> None:
    """Change the colour composite (y / step, x / step, 3) of a cube."""
    layer = find(viewer, "rgb", cube)
    if layer is None:
        layer = add_layer(viewer, Image(image, name=title_of("rgb", cube), rgb=True), "rgb", cube, step=step)
        _place(layer, step, 2)
    else:
        swap(layer, image)
    layer.metadata["hsi"]["bands"] = bands


def band_arrived(viewer: Viewer, cube: str, band: int, image: NDArray[Any]) -> None:
    """Show a band that a worker has read."""
    layer = find(viewer, "cube", cube)
    if layer is not None and isinstance(layer.data, BandStack):
        layer.data.put(band, image)
        layer.refresh(thumbnail=False, extent=False, highlight=False)


def set_band_limits(viewer: Viewer, cube: str, limits: tuple[float, float], before: tuple[float, float]) -> None:
    """Give the bands better contrast limits, unless somebody has changed them since they were set to ``before``."""
    layer = find(viewer, "cube", cube)
    if layer is not None and tuple(layer.contrast_limits) == tuple(before):
        layer.contrast_limits = limits


def current_band(viewer: Viewer) -> int:
    """Return the band at which the slider stands."""
    return int(viewer.dims.current_step[0]) if viewer.dims.ndim > 2 else 0


def tell_band(layer: Image) -> None:
    """Add the band of the slider and its wavelength to what the status bar says of a pixel, as ``count`` and ``wavelengths`` of its metadata have them."""
    this = ref(layer)
    plain = type(layer).get_status

    def get_status(position: Any = None, **how: Any) -> dict[str, str]:  # noqa: ANN401
        layer = this()
        if layer is None:
            return {}
        status = plain(layer, position, **how)
        told = layer.metadata.get("hsi", layer.metadata)
        if position is not None and len(position) >= 3 and "count" in told:  # napari asks from a thread, also while the layer is put in
            words = band_words(round(float(position[-3])), told["wavelengths"], told["count"])
            words = f"slider at {words}" if layer.rgb else words  # the colours are of other bands
            status["coordinates"] += f" · {words}"
            status["value"] += f" · {words}"
        return status

    layer.get_status = get_status  # napari asks the instance, and offers no hook for a layer's own words


# -- drawn shapes -----------------------------------------------------------------------------------------------------


def draw(viewer: Viewer, mode: str) -> Shapes:
    """Let the user draw: ``add_polygon``, ``add_polygon_lasso`` or ``add_rectangle``."""
    layer = find(viewer, "draw")
    if layer is None:
        layer = Shapes(None, ndim=2, name="drawing", face_color="#ffffff30", edge_color="#ffffff", edge_width=1)
        add_layer(viewer, layer, "draw", "")
    layer.visible = True
    viewer.layers.selection.active = layer
    layer.mode = mode
    return layer


def drawn(viewer: Viewer, kinds: Sequence[str] = ("polygon", "rectangle", "ellipse")) -> list[tuple[str, NDArray[np.float64]]]:
    """Return the drawn shapes of some kinds as (kind, vertices (n, 2) in y, x): those selected, or all."""
    layer = find(viewer, "draw")
    if layer is None:
        return []
    chosen = sorted(layer.selected_data) or range(len(layer.data))
    return [(layer.shape_type[index], np.asarray(layer.data[index])[:, -2:]) for index in chosen if layer.shape_type[index] in kinds]


def clear_drawing(viewer: Viewer) -> None:
    """Take the drawn shapes away; their layer stays, empty and hidden."""
    layer = find(viewer, "draw")
    if layer is not None:
        layer.mode = "pan_zoom"
        layer.data = []
        layer.visible = False
        viewer.layers.selection.active = find(viewer, "mask") or find(viewer, "rgb")
