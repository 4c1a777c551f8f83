"""From stored scores to what a network sees: filling, scaling, and windows gathered by address.

Training and mapping share `prepare_inputs`, so both see the same thing. The background is filled once a cube, with the mean of
the cube's whole foreground where the setting says ``mean``: a window of the filled image is the filled window, wherever it lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl import files
from napari_hsi_ssl.errors import DAMAGE, ConfigError, LabelError, RunError
from napari_hsi_ssl.learning.resident import Resident, room
from napari_hsi_ssl.patches.index import PatchIndex

ORDER: Final = 1
"""Names of the random streams; each is drawn from (seed, stream, epoch or step)."""
SHIFT: Final = 2
_ROWS: Final = 256

Image = NDArray[Any]


def input_settings(offset: NDArray[np.floating], gain: NDArray[np.floating], source: str, background: str) -> dict[str, Any]:
    """Return the part ``input`` of a model's card: network input = (stored − offset) · gain, a channel each."""
    return {"source": source, "offset": [float(v) for v in offset], "gain": [float(v) for v in gain], "background": background}


def component_gain(variance: NDArray[np.floating], whiten: float) -> NDArray[np.float64]:
    """Return the factors (k,) that turn stored scores of unit spread into network input.

    Parameters
    ----------
    variance : float array (k,)
    whiten : float
        1: every component keeps its unit spread; 0: the first has it and the others their true proportion to it; in between that proportion
        to the power 1 − whiten.
    """
    proportion = np.sqrt(np.maximum(variance, 0) / max(float(variance[0]), np.finfo(np.float64).tiny))
    return np.asarray(proportion ** (1.0 - whiten), dtype=np.float64)


def standardisation(images: Sequence[Image], areas: Sequence[NDArray[np.bool_]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return offset and gain (k,) that bring the foreground of raw bands to mean 0 and spread 1."""
    count, total, squares = 0, np.float64(0), np.float64(0)
    for image, area in zip(images, areas, strict=True):
        pixels = np.asarray(image[area], dtype=np.float64)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        count, total, squares = count + len(pixels), total + pixels.sum(axis=0), squares + (pixels**2).sum(axis=0)
    if count == 0:
        raise LabelError("no pixel of the training cubes is both foreground and measured; make the mask larger.")
    mean = np.asarray(total / count)
    spread = np.sqrt(np.maximum(np.asarray(squares / count) - mean**2, 0))
    return mean, 1 / np.where(spread > 0, spread, 1)  # a dead band stays 0


def background_level(scores: Image, card: Mapping[str, Any], area: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return the stored value (k,) that background pixels of a cube (y, x, k) are given; rows are read a few at a time."""
    neutral = np.asarray(card["input"]["offset"], dtype=np.float64)  # becomes 0 once scaled
    if card["input"]["background"] != "mean":
        return neutral
    count, total = 0, np.zeros(scores.shape[2])
    for top in range(0, scores.shape[0], _ROWS):
        rows = slice(top, top + _ROWS)
        pixels = np.asarray(scores[rows])
        pixels = pixels[_foreground(pixels, None if area is None else area[rows])]
        count, total = count + len(pixels), total + pixels.sum(axis=0, dtype=np.float64)
        files.let_go(scores)
    return total / count if count else neutral


def fill_background(scores: Image, card: Mapping[str, Any], area: NDArray[np.bool_] | None = None, level: NDArray[np.float64] | None = None) -> Image:
    """Return a copy (y, x, k) in which background and unmeasured pixels are what the card's setting says.

    Parameters
    ----------
    scores : (y, x, k)
        As stored; NaN where not measured.
    area : bool array (y, x), optional
        The foreground; every measured pixel by default.
    level : (k,), optional
        `background_level` of the whole cube, when ``scores`` is a part of it.
    """
    image = np.array(scores)
    kept = None if card["input"]["background"] == "keep" else area
    image[~_foreground(image, kept)] = background_level(image, card, area) if level is None else level
    return image


def _foreground(pixels: Image, area: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    measured = np.isfinite(pixels).all(axis=-1)
    return np.asarray(measured if area is None else measured & area, dtype=np.bool_)


class Scale:
    """Turns filled stored values into network input, on any device.

    Parameters
    ----------
    card : dict
        Its ``input`` holds offset and gain of every channel.
    dtype : torch.dtype
        Of the network input.
    """

    def __init__(self, card: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        self.offset = torch.tensor(card["input"]["offset"], dtype=dtype)
        self.gain = torch.tensor(card["input"]["gain"], dtype=dtype)
        self._shifted = bool(self.offset.any())

    def __call__(self, x: Tensor) -> Tensor:
        """(…, k) → (…, k); ``x`` is left as it is."""
        gain = self.gain.to(x.device)
        values = x.to(gain.dtype, copy=True)
        if self._shifted:
            values.sub_(self.offset.to(x.device))
        return values.mul_(gain)


def prepare_inputs(
    scores: Image, card: Mapping[str, Any], area: NDArray[np.bool_] | None = None, level: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Turn the stored values of one whole cube, or of a part of it, into network input.

    Parameters
    ----------
    scores : (y, x, k)
        Stored scores, or raw bands where the card's ``input.source`` is "bands"; NaN where not measured.
    card : dict
        Of the model (`learning.checkpoint.Card`); its ``input`` holds offset, gain and background.
    area : bool array (y, x), optional
        The foreground; every measured pixel by default.
    level : (k,), optional
        `background_level` of the whole cube, when ``scores`` is a part of it.

    Returns
    -------
    float32 array (y, x, k)
        Finite everywhere.

    Raises
    ------
    RunError
        When the cube has another number of channels than the model.
    """
    if scores.shape[-1] != card["channels"]:
        raise RunError(f"the cube has {scores.shape[-1]} channels, but the model was made for {card['channels']}; use the inlet the run was trained with.")
    scaled: NDArray[np.float32] = Scale(card)(torch.from_numpy(fill_background(scores, card, area, level))).numpy()
    return scaled


def pad_frame(image: Image, window: int) -> Image:
    """Mirror an image (y, x, …) at its frame so that every pixel has a whole window.

    The window of pixel (y, x) is then rows ``y … y + window − 1`` and columns ``x … x + window − 1`` of the result.
    """
    before, after = window // 2, window - 1 - window // 2
    padded: Image = np.pad(image, [(before, after), (before, after), *[(0, 0)] * (image.ndim - 2)], mode="reflect")
    return padded


def gather(images: Sequence[Image], cube: NDArray[np.integer], y: NDArray[np.integer], x: NDArray[np.integer], window: int) -> Image:
    """Copy windows (n, window, window, k) out of images (y, x, k) by their top-left corners."""
    out = np.empty((cube.size, window, window, images[0].shape[2]), dtype=images[0].dtype)
    for row, (c, top, left) in enumerate(zip(cube.tolist(), y.tolist(), x.tolist(), strict=True)):
        out[row] = images[c][top : top + window, left : left + window]
    return out


def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order (count,) in which an epoch sees its patches: a pure function of its arguments."""
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)


class PatchStore:
    """The training patches of all cubes, gathered a batch at a time.

    Parameters
    ----------
    index : PatchIndex
        Patches to train on.
    images : dict of str to array (y, x, k)
        Stored scores by cube name; memory maps are copied into memory where all of them fit into half of what is free.
    areas : dict of str to bool array (y, x)
        Foreground by cube name.
    card : dict
        Settings of the input.
    resident : bool, optional
        Whether the images are copied into memory, where somebody else has weighed that.
    """

    def __init__(
        self,
        index: PatchIndex,
        images: Mapping[str, Image],
        areas: Mapping[str, NDArray[np.bool_]],
        card: Mapping[str, Any],
        *,
        resident: bool | None = None,
    ) -> None:
        self.index, self.card = index, card
        self._on_device: dict[torch.device, Resident | None] = {}
        size = sum(images[name].nbytes for name in index.cubes if name in images)
        self._resident = size < psutil.virtual_memory().available / 2 if resident is None else resident
        empty = np.empty((0, 0, card["channels"]), dtype=next(iter(images.values())).dtype)
        self._areas = [areas.get(name) for name in index.cubes]
        self._images = [images.get(name, empty) for name in index.cubes]
        self._frames = np.array([image.shape[:2] for image in self._images])
        if self._resident:
            self._images = [fill_background(image, card, area) for image, area in zip(self._images, self._areas, strict=True)]
        else:
            self._levels = [background_level(image, card, area) for image, area in zip(self._images, self._areas, strict=True)]

    def __len__(self) -> int:
        return len(self.index)

    def windows(self, rows: NDArray[np.integer], shift: NDArray[np.integer] | None = None) -> Image:
        """Return the filled stored values (n, w, w, k) of the given patches, for `Scale`.

        Parameters
        ----------
        rows : int array (n,)
            Positions in the index.
        shift : int array (n, 2), optional
            Pixels (y, x) by which each window is moved, as far as its cube reaches.
        """
        cube, y, x = self._corners(rows, shift)
        if self._resident:
            return gather(self._images, cube, y, x, self.index.size)
        out = np.empty((cube.size, self.index.size, self.index.size, self.card["channels"]), dtype=self._images[0].dtype)
        for row, (c, top, left) in enumerate(zip(cube, y, x, strict=True)):
            out[row] = self._filled(c, top, left)
        return out

    def tensor(self, rows: NDArray[np.integer], device: torch.device, shift: NDArray[np.integer] | None = None) -> Tensor:
        """Return `windows` on a device: gathered there when all cubes fit into its memory, else here, and sent."""
        if device not in self._on_device:
            fit = sum(image.nbytes for image in self._images) <= room(device)
            shapes, dtype = [image.shape for image in self._images], self._images[0].dtype
            self._on_device[device] = Resident((self._whole(number) for number in range(len(shapes))), shapes, dtype, device) if fit else None
        there = self._on_device[device]
        if there is None:
            return torch.from_numpy(self.windows(rows, shift)).to(device)
        return there.windows(*self._corners(rows, shift), self.index.size)

    def _corners(self, rows: NDArray[np.integer], shift: NDArray[np.integer] | None) -> tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.integer]]:
        index = self.index
        cube, y, x = index.cube[rows], index.y[rows], index.x[rows]
        if shift is not None:
            limits = self._frames[cube] - index.size
            y, x = np.clip(y + shift[:, 0], 0, limits[:, 0]), np.clip(x + shift[:, 1], 0, limits[:, 1])
        return cube, y, x

    def _whole(self, cube: int) -> Image:
        return self._images[cube] if self._resident else fill_background(self._images[cube], self.card, self._areas[cube], self._levels[cube])

    def _filled(self, cube: int, top: int, left: int) -> Image:
        part = np.s_[top : top + self.index.size, left : left + self.index.size]
        area = self._areas[cube]
        return fill_background(self._images[cube][part], self.card, None if area is None else area[part], self._levels[cube])


def neighbours(seed: int, step: int, batch: int, reach: int) -> NDArray[np.int64]:
    """Return shifts (batch, 2) of up to ``reach`` pixels: a pure function of its arguments."""
    return np.random.default_rng((seed, SHIFT, step)).integers(-reach, reach, size=(batch, 2), endpoint=True)


class PixelWindows:
    """Windows around labelled pixels, mirrored at the frame.

    Attributes
    ----------
    labels : int64 array (n,)
        Class of each window, 0 … classes − 1, in the order of the class numbers.

    Parameters
    ----------
    images : sequence of array (y, x, k)
        Filled stored values of whole cubes (`fill_background`).
    labels : sequence of int array (y, x)
        Class numbers, 0 = unlabelled.
    numbers : sequence of int
        All class numbers, ascending.
    window : int
    """

    def __init__(self, images: Sequence[Image], labels: Sequence[NDArray[np.integer]], numbers: Sequence[int], window: int) -> None:
        self._images = [pad_frame(image, window) for image in images]
        self._window = window
        found = [np.nonzero(image) for image in labels]
        self._y = np.concatenate([y for y, _ in found])
        self._x = np.concatenate([x for _, x in found])
        self._cube = np.repeat(np.arange(len(found)), [y.size for y, _ in found])
        values = np.concatenate([image[place] for image, place in zip(labels, found, strict=True)])
        unknown = np.setdiff1d(values, numbers)
        if unknown.size:
            raise LabelError(f"the labels hold class {int(unknown[0])}, expected only {', '.join(map(str, numbers))}; train with labels of every class.")
        self.labels: NDArray[np.int64] = np.searchsorted(np.asarray(numbers), values).astype(np.int64)

    def __len__(self) -> int:
        return self.labels.size

    def windows(self, rows: NDArray[np.integer]) -> Image:
        """Return stored values (n, w, w, k) around the given pixels, for `Scale`."""
        return gather(self._images, self._cube[rows], self._y[rows], self._x[rows], self._window)

    def tensor(self, rows: NDArray[np.integer], device: torch.device) -> Tensor:
        """Return `windows` on a device."""
        return torch.from_numpy(self.windows(rows)).to(device)


def open_scores(path: Path) -> Image:
    """Open an array (y, x, k) as a memory map.

    Raises
    ------
    ConfigError
        When the file is gone, truncated or of another shape.
    """
    try:
        image: Image = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise ConfigError(f"{path} cannot be read as an array ({error}); make the PCA again, then start another run.") from error
    if image.ndim != 3:
        raise ConfigError(f"{path} has shape {image.shape}, expected (y, x, channel); make the PCA again, then start another run.")
    return image
