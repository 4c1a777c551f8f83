"""Look at what contrastive training would see of a patch: pairs of its views with given settings."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PretrainConfig, window_advice
from napari_hsi_ssl.config.training import WINDOWS
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.loadings import components_of
from napari_hsi_ssl.explore.view_pairs import ViewPairs, as_pictures, view_sheet
from napari_hsi_ssl.patches.preview import fill
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.runs.compute import shared_process
from napari_hsi_ssl.steps.patches import false_colour_bands

PAIRS = 3
_ROWS = 48
_SCALING = {"none": "", "standardise": " of bands standardised by domain", "snv": " of SNV spectra"}


def preview_views(project: Project, config: PretrainConfig, cube: str, at: tuple[int, int] | None = None, pairs: int = PAIRS) -> Steps[ViewPairs]:
    """Make pairs of views of one patch, by the code and the draws of a training with these settings; nothing is written.

    Parameters
    ----------
    project : Project
        With a projection. Its patches say how large the patch is; without any, the recipe does.
    config : PretrainConfig
    cube : str
    at : (y, x), optional
        A pixel near the middle of the patch; by default the patch of the cube with most foreground.
    pairs : int

    Raises
    ------
    ProjectError
        When the cube has no scores.
    ConfigError
        When the pixel lies outside of the cube, or the cube is smaller than the patch.
    """
    yield Progress(message=f"a patch of {cube}")
    scores, area, projection = project.scores(cube), project.area(cube), project.projection()
    y, x, size = _patch(project, config.recipe, cube, at, area)
    reach = config.neighbour
    top, left = max(0, y - reach), max(0, x - reach)
    part = np.s_[top : y + size + reach, left : x + size + reach]
    background = project.settled("patches").get("settings", {}).get("background", "mean")
    region = fill(np.asarray(scores[part], dtype=np.float32), area[part], background, _level(scores, area, background))
    entry = project.entry(cube)
    axis = components_of(projection, entry.shape[2], None if entry.wavelengths is None else np.asarray(entry.wavelengths))
    bands = false_colour_bands(axis.positions if axis.in_nm else None, axis.positions.size)
    with tempfile.TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "region.npy", Path(scratch) / "views.npz"
        files.write_npy(given, region.astype(np.float16))
        yield from shared_process().call(
            "views",
            inlet=str(project.inlet_folder() / "pca.npz"),
            region=str(given),
            corner=[y - top, x - left],
            size=size,
            domain=entry.domain,
            settings=config.model_dump(mode="json"),
            pairs=pairs,
            bands=bands,
            out=str(out),
        )
        with np.load(out, allow_pickle=False) as made:
            colours, spectra = made["colours"], made["spectra"]
    return ViewPairs(
        cube, y, x, as_pictures(colours), spectra, axis.positions, axis.in_nm, inlet_words(projection.method, len(projection.components), projection.scaling)
    )


def save_views(project: Project, config: PretrainConfig, to: Path, cube: str | None = None, at: tuple[int, int] | None = None) -> Steps[dict[str, Any]]:
    """Write the pairs of `preview_views` into a PNG file; returns where the patch is, what it is made from, and the ``advice`` on its size."""
    if to.suffix.lower() != ".png":
        raise ConfigError(f"--to is {to}, expected a file ending in .png; rename it.")
    pairs = yield from preview_views(project, config, cube or _first_cube(project), at)
    stream = io.BytesIO()
    Image.fromarray(view_sheet(pairs, strengths_words(config))).save(stream, format="PNG")
    files.write_bytes(to, stream.getvalue())
    advice = window_advice(config.recipe, pairs.size)
    return {"cube": pairs.cube, "y": pairs.y, "x": pairs.x, "size": pairs.size, "inlet": pairs.inlet, "advice": advice, "to": str(to)}


def inlet_words(method: str, components: int, scaling: str) -> str:
    """Return what a projection is, such as "MNF, 30 components of bands standardised by domain"."""
    return f"{method.upper()}, {components} components{_SCALING[scaling]}"


def strengths_words(config: PretrainConfig) -> str:
    """Return the views that are not off, in one line."""
    views = {**config.augment.model_dump(), "neighbour": config.neighbour}
    return f"{config.recipe}: " + ", ".join(name if value is True else f"{name} {value:g}" for name, value in views.items() if value)


def _first_cube(project: Project) -> str:
    index = project.patch_index() if project.patches is not None and project.patches_path().exists() else None
    return index.cubes[index.cube[0]] if index is not None and len(index) else next(iter(project.entries), "")


def _patch(project: Project, recipe: str, cube: str, at: tuple[int, int] | None, area: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return the top left corner and the size of the patch to look at."""
    height, width = area.shape
    index = project.patch_index() if project.patches is not None and project.patches_path().exists() else None
    size = WINDOWS[recipe][1] if index is None else index.size
    if min(height, width) < size:
        raise ConfigError(f"cube '{cube}' has {height}×{width} pixels, smaller than a patch of {size}; cut smaller patches, or choose another cube.")
    if at is not None and not (0 <= at[0] < height and 0 <= at[1] < width):
        raise ConfigError(f"pixel {at[0]},{at[1]} lies outside of cube '{cube}' of {height}×{width} pixels; choose one inside.")
    if at is None and index is not None and cube in index.cubes:
        rows = np.flatnonzero(index.cube == index.cubes.index(cube))
        if rows.size:
            fullest = rows[index.coverage[rows].argmax()]
            return int(index.y[fullest]), int(index.x[fullest]), size
    if at is None:
        used = np.argwhere(area)
        at = tuple(used[len(used) // 2].tolist()) if len(used) else (height // 2, width // 2)
    y, x = np.clip(np.array(at) - size // 2, 0, np.array(area.shape) - size).tolist()
    return y, x, size


def _level(scores: NDArray[np.float16], area: NDArray[np.bool_], background: str) -> NDArray[np.float32]:
    """Return what background becomes: the mean foreground of some rows stands for that of all."""
    rows = np.unique(np.linspace(0, len(scores) - 1, min(_ROWS, len(scores))).astype(int))
    pixels = np.asarray(scores[rows], dtype=np.float32)[area[rows]]
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    return pixels.mean(axis=0) if background == "mean" and len(pixels) else np.zeros(scores.shape[2], dtype=np.float32)
