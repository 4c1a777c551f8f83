"""Every read and write of the viewer's layers.

A layer of ours carries ``metadata["hsi"] = {"role": …, "cube": …}``: it is found again by that, updated in place rather than
added twice, and keeps its place in the stack. Layers of other plugins are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.bandstack import BandStack
from napari_hsi_ssl.gui.mask_history import history_for
from napari_hsi_ssl.gui.pictures import CubePicture, band_words

if TYPE_CHECKING:
    from napari.viewer import Viewer

ROLES = ("cube", "rgb", "pcs", "confidence", "map", "clusters", "heat", "mask", "labels", "selection", "grid", "draw", "picks")
"""From the bottom of the stack to its top."""
MASK_COLOUR = "#56b4e9"
STAYING = ("draw", "picks")
"""Roles whose layer is emptied and hidden, never removed: vispy draws from freed memory after a Shapes or Points layer has gone."""
PICK_COLOUR = "#ffd600"
SELECTION_COLOUR = "#ff2bd6"
"""Of selected pixels, in the image as in the plots."""
GRID_COLOURS = {1: "#e69f00", 2: "#56b4e9"}
"""Of the outlines of training (1) and test (2) patches."""
_TITLES = {
    "clusters": "clusters", "cube": "bands", "rgb": "RGB", "confidence": "confidence", "map": "map",
    "mask": "mask", "labels": "labels", "grid": "patches", "heat": "patch coverage", "selection": "selection",
}  # fmt: skip
_WORDS = {"PC": "PCs", "MNF": "MNF components"}


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


def _add(viewer: Viewer, layer: Layer, role: str, cube: str, **more: Any) -> Any:  # noqa: ANN401
    layer.metadata["hsi"] = {"role": role, "cube": cube, **more}
    rank = ROLES.index(role)
    below = [index for index, other in enumerate(viewer.layers) if role_of(other) in ROLES and ROLES.index(role_of(other)) <= rank]
    place = below[-1] + 1 if below else next((index for index, other in enumerate(viewer.layers) if role_of(other)), len(viewer.layers))
    active = viewer.layers.selection.active
    viewer.layers.insert(place, layer)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active
    return layer


def _swap(layer: Any, data: NDArray[Any]) -> None:  # noqa: ANN401
    """Give a layer new data; in place with the lean refresh where shape and type allow (half the time of ``layer.data = ``)."""
    if isinstance(layer.data, np.ndarray) and layer.data.shape == data.shape and layer.data.dtype == data.dtype and layer.data.flags.writeable:
        np.copyto(layer.data, data)
        layer.refresh(thumbnail=False, extent=False, highlight=False)
    else:
        layer.data = data


def _title(role: str, cube: str) -> str:
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
        bands = Image(data, name=_title("cube", name), colormap="gray", visible=False, multiscale=False, rgb=False, contrast_limits=shown.limits)
        _tell_band(bands)
        _place(bands, step, 3)
        bands.axis_labels = (axis, "y", "x")
        _add(viewer, bands, "cube", name)
        composite = Image(shown.composite, name=_title("rgb", name), rgb=True)
        _place(composite, step, 2)
        _add(viewer, composite, "rgb", name)
    else:
        # The layers of the cube before are taken over: at every layer that is taken away napari collects garbage, a quarter of a second.
        bands.visible = False
        bands.data, bands.name, bands.axis_labels = data, _title("cube", name), (axis, "y", "x")
        bands.contrast_limits = shown.limits
        bands.contrast_limits_range = shown.limits
        _place(bands, step, 3)
        _swap(composite, shown.composite)
        composite.name, composite.visible = _title("rgb", name), True
        _place(composite, step, 2)
    bands.metadata["hsi"] = {"role": "cube", "cube": name, "wavelengths": shown.wavelengths, "step": step}
    composite.metadata["hsi"] = {"role": "rgb", "cube": name, "bands": shown.composite_bands, "step": step}
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
        layer = _add(viewer, Image(image, name=_title("rgb", cube), rgb=True), "rgb", cube, step=step)
        _place(layer, step, 2)
    else:
        _swap(layer, image)
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


def _tell_band(layer: Image) -> None:
    """Add the band and its wavelength to what the status bar says of a pixel."""
    this = ref(layer)
    plain = type(layer).get_status

    def get_status(position: Any = None, **how: Any) -> dict[str, str]:  # noqa: ANN401
        layer = this()
        if layer is None:
            return {}
        status = plain(layer, position, **how)
        if position is not None and len(position) >= 3:
            words = band_words(round(float(position[-3])), layer.metadata["hsi"].get("wavelengths"), layer.data.shape[0])
            status["coordinates"] += f" · {words}"
            status["value"] += f" · {words}"
        return status

    layer.get_status = get_status  # napari asks the instance, and offers no hook for a layer's own words


# -- masks and labels -------------------------------------------------------------------------------------------------


def show_mask(viewer: Viewer, cube: str, mask: NDArray[np.bool_], *, saved: bool, merge: str = "") -> Labels:
    """Lay a mask (y, x) over the image; what was there can be brought back (`step_mask`).

    Parameters
    ----------
    merge : str
        Changes that follow one another under the same name are taken back at once.
    """
    data = mask.astype(np.uint8)
    layer = find(viewer, "mask", cube)
    if layer is not None:
        history_for(viewer).record(cube, np.asarray(layer.data) != 0, mask, merge)
    elif not saved:
        history_for(viewer).record(cube, np.zeros_like(mask), mask, merge)
    if layer is None:
        colours = _colours({1: MASK_COLOUR})
        layer = Labels(data, name=_title("mask", cube), opacity=0.4, colormap=colours)
        _add(viewer, layer, "mask", cube)
        _watch_painting(layer)
        _watch_strokes(viewer, layer)
    else:
        _swap(layer, data)
    layer.visible = not (saved and bool(mask.all()))  # a mask of everything says nothing and veils the image
    mark_unsaved(layer, not saved)
    layer.metadata["hsi"]["bits"] = np.packbits(mask)
    return layer


def _watch_strokes(viewer: Viewer, layer: Labels) -> None:
    """Remember every stroke of a brush on a mask as a step that can be taken back."""
    canvas, this = ref(viewer), ref(layer)

    def painted(event: Any) -> None:  # noqa: ANN401 - an event of napari
        layer, viewer = this(), canvas()
        if layer is not None and viewer is not None:
            after = np.asarray(layer.data) != 0
            for change in event.value:  # napari tells of some changes before it makes them
                _apply(after, change)
            before = np.unpackbits(layer.metadata["hsi"]["bits"], count=after.size).reshape(after.shape).astype(bool)
            history_for(viewer).record(cube_of(layer), before, after)
            layer.metadata["hsi"]["bits"] = np.packbits(after)

    layer.events.paint.connect(painted)


def _apply(mask: NDArray[np.bool_], change: Any) -> None:  # noqa: ANN401 - an entry of napari's own history
    """Make a change of napari's history in a mask (y, x): of a box and the pixels in it, or of places and their values."""
    if hasattr(change, "slice_key"):
        part = mask[change.slice_key]
        part[... if change.mask is None else change.mask] = change.new_value != 0
    elif isinstance(change, tuple) and len(change) == 3:
        mask[change[0]] = np.asarray(change[2]) != 0


def step_mask(viewer: Viewer, cube: str, forward: bool) -> bool:
    """Take the last step back that a mask on the canvas went through, or do the next one again; returns whether there was one."""
    layer = find(viewer, "mask", cube)
    if layer is None:
        return False
    history = history_for(viewer)
    mask = (history.redo if forward else history.undo)(cube, np.asarray(layer.data) != 0)
    if mask is None:
        return False
    _swap(layer, mask.astype(np.uint8))
    layer.metadata["hsi"]["bits"] = np.packbits(mask)
    layer.visible = True
    mark_unsaved(layer)
    return True


def show_clusters(viewer: Viewer, cube: str, numbers: NDArray[np.integer], colours: Sequence[str], faded: Sequence[int]) -> Labels:
    """Show clusters (y, x), numbered from 1 with 0 for none, in their colours; those in ``faded`` are transparent: the background."""
    known = {number: f"{colour}30" if number in faded else colour for number, colour in enumerate(colours, start=1)}
    layer = find(viewer, "clusters", cube)
    if layer is None:
        layer = Labels(numbers.astype(np.uint8), name=_title("clusters", cube), opacity=0.6, colormap=_colours(known))
        _add(viewer, layer, "clusters", cube)
    else:
        _swap(layer, numbers.astype(np.uint8))
        layer.colormap = _colours(known)
    layer.visible = True
    mask = find(viewer, "mask", cube)
    if mask is not None:
        mask.contour = 1  # its fill would mix with the colours of the clusters
    return layer


def hide_clusters(viewer: Viewer) -> None:
    """Take the clusters off the image."""
    for layer in viewer.layers:
        if role_of(layer) == "clusters":
            layer.visible = False
        elif role_of(layer) == "mask" and layer.contour:
            layer.contour = 0


def show_picks(viewer: Viewer, pixels: Sequence[tuple[int, int]], cursor: tuple[int, int] | None = None) -> None:
    """Mark pixels (y, x) that were picked, and where the keyboard's cursor stands."""
    layer = find(viewer, "picks")
    places = np.array([*pixels, *([cursor] if cursor is not None else [])], dtype=np.float64).reshape(-1, 2)
    if layer is None:
        if not len(places):
            return
        layer = Points(np.zeros((0, 2)), ndim=2, name="picked pixels", border_width_is_relative=False)
        layer.canvas_size_limits = (9, 13)  # on the screen: as large on a small cube as on a large one
        layer.editable = False
        _add(viewer, layer, "picks", "")
    layer.data = places
    if len(places):
        layer.symbol = ["disc"] * len(pixels) + (["cross"] if cursor is not None else [])
        layer.size = 3
        layer.face_color = [PICK_COLOUR] * len(pixels) + (["#ffffff"] if cursor is not None else [])
        layer.border_color = "#000000"
        layer.border_width = 0.3
    layer.selected_data = set()
    layer.visible = bool(len(places))


def mask_on_canvas(viewer: Viewer, cube: str) -> NDArray[np.bool_] | None:
    """Return the mask (y, x) as it stands on the canvas, or None."""
    layer = find(viewer, "mask", cube)
    return None if layer is None else np.asarray(layer.data) != 0


def change_mask(viewer: Viewer, cube: str, region: NDArray[np.bool_], value: bool) -> None:
    """Add a region (y, x) to the mask on the canvas or take it away; napari's undo takes it back."""
    layer = find(viewer, "mask", cube)
    if layer is None:
        return
    where = np.nonzero(region & ((np.asarray(layer.data) != 0) != value))
    if len(where[0]) == 0:
        return
    layer.data_setitem(where, np.uint8(value))
    mark_unsaved(layer)


def show_labels(viewer: Viewer, cube: str, labels: NDArray[np.integer], classes: Classes, *, saved: bool) -> Labels:
    """Show labels (y, x) in the colours of their classes, ready to be painted on."""
    data = labels.astype(np.int32)
    layer = find(viewer, "labels", cube)
    if layer is None:
        layer = Labels(data, name=_title("labels", cube), opacity=0.5)
        _add(viewer, layer, "labels", cube)
        _watch_painting(layer)
    else:
        _swap(layer, data)
    dress(layer, classes)
    mark_unsaved(layer, not saved)
    return layer


def class_colours(classes: Classes) -> DirectLabelColormap:
    """Return the colours of classes for a Labels layer; numbers without a class are white, 0 is transparent."""
    return _colours(dict(zip(classes.numbers, classes.colours, strict=True)), others="#ffffff")


def _colours(known: Mapping[int, str], others: str = "transparent") -> DirectLabelColormap:
    colours: dict[int | None, str] = {None: others, 0: "transparent"}
    for number, colour in known.items():
        colours[number] = colour
    return DirectLabelColormap(color_dict=colours)


def dress(layer: Labels, classes: Classes) -> None:
    """Give a Labels layer the colours and names of classes."""
    layer.colormap = class_colours(classes)
    layer.features = _names(classes)
    layer.metadata["hsi"]["classes"] = classes


def _names(classes: Classes) -> dict[str, list[Any]]:
    return {"index": [0, *classes.numbers], "class": ["unlabelled", *classes.names]}


def _watch_painting(layer: Labels) -> None:
    this = ref(layer)

    def painted(_: object = None) -> None:
        layer = this()
        if layer is not None:
            mark_unsaved(layer)

    layer.events.paint.connect(painted)


def paint_with(viewer: Viewer, layer: Labels, number: int, mode: str = "paint", brush: int = 5) -> None:
    """Put a brush with a class number into the user's hand: mode ``paint``, ``erase``, ``fill``, ``polygon`` or ``pan_zoom``."""
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.selected_label = number
    layer.brush_size = brush
    layer.mode = mode


# -- selected pixels --------------------------------------------------------------------------------------------------


def show_selection(viewer: Viewer, cube: str, mask: NDArray[np.bool_] | None) -> Labels | None:
    """Light up selected pixels (y, x) over the image, or none of them; returns their layer where there is one."""
    layer = find(viewer, "selection", cube)
    if mask is None:
        if layer is not None and layer.visible:
            layer.visible = False
            layer.data[...] = 0
        return layer
    if layer is None:
        layer = Labels(mask.astype(np.uint8), name=_title("selection", cube), opacity=0.75, colormap=_colours({1: SELECTION_COLOUR}))
        return _add(viewer, layer, "selection", cube)
    _swap(layer, mask.astype(np.uint8))
    layer.visible = True
    return layer


# -- drawn shapes -----------------------------------------------------------------------------------------------------


def draw(viewer: Viewer, mode: str) -> Shapes:
    """Let the user draw: ``add_polygon``, ``add_polygon_lasso`` or ``add_rectangle``."""
    layer = find(viewer, "draw")
    if layer is None:
        layer = Shapes(None, ndim=2, name="drawing", face_color="#ffffff30", edge_color="#ffffff", edge_width=1)
        _add(viewer, layer, "draw", "")
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
    """Take the drawn shapes away.

    The layer stays, empty and hidden: vispy draws from freed memory after a Shapes layer has been removed, and the process dies.
    """
    layer = find(viewer, "draw")
    if layer is not None:
        layer.mode = "pan_zoom"
        layer.data = []
        layer.visible = False
        viewer.layers.selection.active = find(viewer, "mask") or find(viewer, "rgb")


# -- results ----------------------------------------------------------------------------------------------------------


def show_components(viewer: Viewer, cube: str, images: NDArray[np.float32], word: str = "PC") -> Image:
    """Show component images (k, y, x) as one layer, called by their word ("PC" or "MNF"); its slider is the bands' one."""
    layer = find(viewer, "pcs", cube)
    if layer is not None:
        viewer.layers.remove(layer)
    first = images[0][np.isfinite(images[0])]
    low, high = np.percentile(first[:: max(1, first.size // 50_000)], (1, 99)) if first.size else (0.0, 1.0)
    layer = Image(
        images, name=f"{cube} {_WORDS[word]}", contrast_limits=(float(low), max(float(high), float(low) + 1e-6)), colormap="gray",
        axis_labels=("band", "y", "x"), multiscale=False, rgb=False,
    )  # fmt: skip
    _add(viewer, layer, "pcs", cube, word=word)
    viewer.dims.set_current_step(0, 0)
    return layer


def show_grid(viewer: Viewer, cube: str, outlines: NDArray[np.uint8]) -> Labels:
    """Show the outlines (y, x) of the patches: training and test ones in two colours."""
    layer = find(viewer, "grid", cube)
    if layer is None:
        colours = _colours(GRID_COLOURS)
        layer = Labels(outlines, name=_title("grid", cube), opacity=0.8, colormap=colours)
        layer.features = {"index": [0, 1, 2], "patch": ["", "train", "test"]}
        _add(viewer, layer, "grid", cube)
    else:
        _swap(layer, outlines)
    layer.visible = True
    return layer


def show_heat(viewer: Viewer, cube: str, image: NDArray[np.float32], limits: tuple[float, float]) -> Image:
    """Lay a figure of every pixel (y, x) over the image, NaN where there is none; an older one is updated in place."""
    layer = find(viewer, "heat", cube)
    if layer is None:
        layer = Image(image, name=_title("heat", cube), colormap="viridis", opacity=0.6, contrast_limits=limits, blending="translucent_no_depth")
        _add(viewer, layer, "heat", cube)
    else:
        _swap(layer, image)
        layer.contrast_limits = limits
    layer.visible = True
    return layer


def show_map(viewer: Viewer, cube: str, labels: NDArray[np.integer], classes: Classes, name: str) -> Labels:
    """Show a class map (y, x); an older map of the same name is updated in place."""
    layer = next((old for old in viewer.layers if role_of(old) == "map" and old.name == name), None)
    for other in viewer.layers:
        if other is not layer and role_of(other) in {"map", "confidence"}:
            other.visible = False  # of a stack of maps only the topmost would be seen, whichever was asked for
    if layer is None:
        look = {"colormap": class_colours(classes), "features": _names(classes)}
        layer = _add(viewer, Labels(labels.astype(np.int32), name=name, opacity=0.7, **look), "map", cube, classes=classes)
    else:
        _swap(layer, labels.astype(np.int32))
        dress(layer, classes)
    layer.visible = True
    return layer


def show_confidence(viewer: Viewer, cube: str, confidence: NDArray[np.float32], name: str) -> None:
    """Put the confidence (y, x) of a map beside it, hidden at first; an older one is updated in place."""
    title = f"{name} confidence"
    sure = next((old for old in viewer.layers if role_of(old) == "confidence" and old.name == title), None)
    if sure is None:
        _add(viewer, Image(confidence, name=title, colormap="viridis", contrast_limits=(0, 1), opacity=0.7, visible=False), "confidence", cube)
    else:
        _swap(sure, confidence)


def map_layers(viewer: Viewer, cube: str | None = None) -> list[Labels]:
    """Return the class maps on the canvas, the topmost first."""
    return [layer for layer in reversed(viewer.layers) if role_of(layer) == "map" and (cube is None or cube_of(layer) == cube)]


def shown_map(viewer: Viewer, cube: str) -> Labels | None:
    """Return the map of a cube that is seen, itself or by its confidence; None when none is."""
    for layer in map_layers(viewer, cube):
        sure = confidence_of(viewer, layer)
        if layer.visible or (sure is not None and sure.visible):
            return layer
    return None


def confidence_of(viewer: Viewer, layer: Labels) -> Image | None:
    """Return the confidence layer of a map."""
    return next((other for other in viewer.layers if role_of(other) == "confidence" and other.name == f"{layer.name} confidence"), None)
