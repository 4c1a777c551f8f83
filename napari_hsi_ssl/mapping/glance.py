"""Features of a few pixels of a cube, read and computed for these alone: for a quick look, not for a map."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import background_level, gather, prepare_inputs
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.mapping.frames import Stored
from napari_hsi_ssl.progress import Progress, Steps

_LEVEL_ROWS: Final = 64
_BATCH: Final = 128


def grid(area: NDArray[np.bool_], pixels: int) -> tuple[int, NDArray[np.bool_]]:
    """Return the stride at which about so many pixels of an area (y, x) lie, and which these are."""
    stride = max(1, int(np.ceil(np.sqrt(area.sum() / max(1, pixels)))))
    chosen = np.zeros_like(area)
    chosen[stride // 2 :: stride, stride // 2 :: stride] = True
    return stride, chosen & area


def pixel_features(
    model: SimCLRModel | DistilNetwork, card: Card, values: Stored, area: NDArray[np.bool_], chosen: NDArray[np.bool_]
) -> Steps[NDArray[np.float32]]:
    """Return the features (n, d) of the chosen pixels, in the order of ``np.nonzero``, from the windows around them.

    They are those of `mapping.embed` by windows, but for the background, which is the mean of some rows of the foreground, not of all.

    Parameters
    ----------
    model, card
    values : array (y, x, k)
        As stored; NaN where not measured. Only the rows that are needed are read.
    area, chosen : bool arrays (y, x)

    Returns
    -------
    float32 array (n, d)
        NaN where a pixel is not measured.

    Raises
    ------
    RunError
        When the cube has another number of channels than the model.
    """
    height, width, channels = values.shape
    if channels != card["channels"]:
        raise RunError(f"the cube has {channels} channels, but the model was made for {card['channels']}; use the inlet the run was trained with.")
    window = int(card["window"])
    before, after = window // 2, window - 1 - window // 2
    columns = _mirrored(np.arange(-before, width + after), width)
    some = np.unique(np.linspace(0, height - 1, min(height, _LEVEL_ROWS)).astype(int)).tolist()
    level = background_level(np.concatenate([np.asarray(values[row : row + 1]) for row in some]), card, area[some])
    found = np.full((int(chosen.sum()), model.dim), np.nan, dtype=np.float32)
    done = 0
    for row in np.flatnonzero(chosen.any(axis=1)).tolist():
        rows = _mirrored(np.arange(row - before, row + after + 1), height)
        block = np.asarray(values[int(rows.min()) : int(rows.max()) + 1])
        kept = area[int(rows.min()) : int(rows.max()) + 1]
        image = prepare_inputs(block, card, kept, level)[rows - rows.min()][:, columns]
        x = np.flatnonzero(chosen[row])
        measured = np.isfinite(block[row - rows.min()][x]).all(axis=-1)
        for start in range(0, x.size, _BATCH):
            part = x[start : start + _BATCH]
            windows = gather([image], np.zeros(part.size, np.intp), np.zeros(part.size, np.intp), part, window)
            with torch.inference_mode():
                found[done + start : done + start + part.size] = model.embed(torch.from_numpy(windows).permute(0, 3, 1, 2)).float().numpy()
        found[done : done + x.size][~measured] = np.nan
        done += x.size
        yield Progress(done, len(found), "looking at pixels")
    return found


def _mirrored(index: NDArray[np.integer], size: int) -> NDArray[np.integer]:
    """Return positions within a frame, mirrored at its ends as `learning.data.pad_frame` does."""
    if size == 1:
        return np.zeros_like(index)
    place = np.abs(index) % (2 * (size - 1))
    inside: NDArray[np.integer] = np.where(place < size, place, 2 * (size - 1) - place)
    return inside
