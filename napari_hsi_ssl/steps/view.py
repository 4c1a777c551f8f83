"""Look at a cube: true or false colour, bands, a ratio or an index, as a picture that is made a few rows at a time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from PIL import Image

from napari_hsi_ssl import files
from napari_hsi_ssl.config import ViewConfig
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.looks import Limits, Look, fill, limits_of, resolve, sample_of
from napari_hsi_ssl.progress import Progress, Steps


def view(cube: xr.DataArray, config: ViewConfig, to: Path, step: int = 1) -> Steps[dict[str, Any]]:
    """Write a picture of a cube as PNG.

    Parameters
    ----------
    cube : DataArray (y, x, band)
    config : ViewConfig
    to : Path
        Ending in ``.png``.
    step : int
        Only every n-th row and column.

    Returns
    -------
    dict
        ``shape`` of the picture, ``kind``, ``bands`` and ``nm`` of what is shown as red, green and blue (grey, or a and b), ``limits``
        of each channel in the cube's units, and a ``note`` where it could not be shown as wished.

    Raises
    ------
    ConfigError
        When the cube cannot be looked at like this, or the file's ending is another.
    """
    if to.suffix.lower() != ".png":
        raise ConfigError(f"--to is {to}, expected a file ending in .png; rename it.")
    look = resolve(cube, config)
    limits = limits_of(look, sample_of(cube, look))
    height, width = cube.shape[:2]
    picture = np.zeros((-(-height // step), -(-width // step), 3), dtype=np.uint8)
    for done in fill(cube, look, limits, picture, step):
        yield Progress(done, height, f"picture of {cube.name}")
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=4)
    files.write_bytes(to, stream.getvalue())
    return {"cube": str(cube.name), **described(cube, look, limits), "shape": list(picture.shape[:2]), "to": str(to)}


def described(cube: xr.DataArray, look: Look, limits: Limits) -> dict[str, Any]:
    """Return what a look shows as JSON-able values."""
    centres = wavelengths(cube)
    return {
        "kind": look.kind,
        "bands": list(look.shown),
        "nm": None if centres is None else [round(float(centres[band]), 2) for band in look.shown],
        "limits": [list(limit) for limit in limits],
        "note": look.note,
    }
