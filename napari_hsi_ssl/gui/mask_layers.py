"""The layers of masks, labels, clusters and picked pixels: what a user paints, and what shows where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.layers import Labels, Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_hsi_ssl.cubes.cube import Classes
from napari_hsi_ssl.gui.layers import add_layer, cube_of, find, mark_unsaved, role_of, swap, title_of, unsaved
from napari_hsi_ssl.gui.mask_history import history_for

if TYPE_CHECKING:
    from napari.viewer import Viewer

MASK_COLOUR = "#56b4e9"
PICK_COLOUR = "#ffd600"
SELECTION_COLOUR = "#ff2bd6"
"""Of selected pixels, in the image as in the plots."""


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
        layer = Labels(data, name=title_of("mask", cube), opacity=0.4, colormap=_FILLED)
        add_layer(viewer, layer, "mask", cube)
        _watch_painting(layer)
        _watch_strokes(viewer, layer)
    else:
        swap(layer, data)
    layer.visible = not (saved and bool(mask.all()))  # a mask of everything says nothing and veils the image
    mark_unsaved(layer, not saved)
    layer.metadata["hsi"]["bits"] = np.packbits(mask)
    return layer


def hand_over(viewer: Viewer, cube: str, mask: NDArray[np.bool_] | None, labels: NDArray[np.integer] | None) -> None:
    """Let a cube take over the mask and the labels layer of the one before: a layer taken away and another added cost half a second.

    What is not saved yet stays where it is, and a cube without a mask or labels takes over none.
    """
    for role, data in (("mask", None if mask is None else mask.astype(np.uint8)), ("labels", None if labels is None else labels.astype(np.int32))):
        layer = next((layer for layer in viewer.layers if role_of(layer) == role and not unsaved(layer)), None)
        if data is None or layer is None or find(viewer, role, cube) is not None:
            continue
        swap(layer, data)
        layer.name = title_of(role, cube)
        layer.metadata["hsi"]["cube"] = cube
        if mask is not None and role == "mask":
            layer.metadata["hsi"]["bits"] = np.packbits(mask)


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
    swap(layer, mask.astype(np.uint8))
    layer.metadata["hsi"]["bits"] = np.packbits(mask)
    layer.visible = True
    mark_unsaved(layer)
    return True


def show_clusters(viewer: Viewer, cube: str, numbers: NDArray[np.integer], colours: Sequence[str], faded: Sequence[int]) -> Labels:
    """Show clusters (y, x), numbered from 1 with 0 for none, in their colours; those in ``faded`` are transparent: the background."""
    known = {number: f"{colour}30" if number in faded else colour for number, colour in enumerate(colours, start=1)}
    layer = find(viewer, "clusters", cube)
    if layer is None:
        layer = Labels(numbers.astype(np.uint8), name=title_of("clusters", cube), opacity=0.6, colormap=label_colours(known))
        add_layer(viewer, layer, "clusters", cube)
    else:
        swap(layer, numbers.astype(np.uint8))
        layer.colormap = label_colours(known)
    layer.visible = True
    outline(viewer, cube)
    return layer


def outline(viewer: Viewer, cube: str) -> None:
    """Show a mask by its outline alone: its fill would mix with the colours of the clusters."""
    layer = find(viewer, "mask", cube)
    if layer is not None and not layer.contour:
        layer.colormap, layer.contour = _OUTLINED, 1


def hide_clusters(viewer: Viewer) -> None:
    """Take the clusters off the image."""
    for layer in viewer.layers:
        if role_of(layer) == "clusters":
            layer.visible = False
        elif role_of(layer) == "mask" and layer.contour:
            layer.colormap, layer.contour = _FILLED, 0


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
        add_layer(viewer, layer, "picks", "")
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
        layer = Labels(data, name=title_of("labels", cube), opacity=0.5)
        add_layer(viewer, layer, "labels", cube)
        _watch_painting(layer)
    else:
        swap(layer, data)
    dress(layer, classes)
    mark_unsaved(layer, not saved)
    return layer


def class_colours(classes: Classes) -> DirectLabelColormap:
    """Return the colours of classes for a Labels layer; numbers without a class are white, 0 is transparent."""
    return label_colours(dict(zip(classes.numbers, classes.colours, strict=True)), others="#ffffff")


def label_colours(known: Mapping[int, str], others: str = "transparent") -> DirectLabelColormap:
    """Return colours for a Labels layer by number; 0 is transparent."""
    colours: dict[int | None, str] = {None: others, 0: "transparent"}
    for number, colour in known.items():
        colours[number] = colour
    return DirectLabelColormap(color_dict=colours)


_OUTLINED = label_colours({1: MASK_COLOUR})
_FILLED = label_colours({0: "#000000c0", 1: MASK_COLOUR})
"""What is left out is darkened: a tint alone is lost over an image of its own colour."""


def dress(layer: Labels, classes: Classes) -> None:
    """Give a Labels layer the colours and names of classes."""
    layer.colormap = class_colours(classes)
    layer.features = class_names(classes)
    layer.metadata["hsi"]["classes"] = classes


def class_names(classes: Classes) -> dict[str, list[Any]]:
    """Return what the status bar says of the numbers of a Labels layer."""
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
        layer = Labels(mask.astype(np.uint8), name=title_of("selection", cube), opacity=0.75, colormap=label_colours({1: SELECTION_COLOUR}))
        return add_layer(viewer, layer, "selection", cube)
    swap(layer, mask.astype(np.uint8))
    layer.visible = True
    return layer
