"""Cut the patch index: where the windows are, how they are split, and what was left out. Or only look at what a cut would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import PatchConfig, digest
from napari_hsi_ssl.cubes.cube import wavelengths
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.patches.index import PatchIndex, PatchSource, build_index
from napari_hsi_ssl.patches.preview import PatchPreview, examples, fill, preview
from napari_hsi_ssl.patches.sheet import Example, sheet
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

FALSE_COLOUR = (860.0, 650.0, 550.0)
"""nm shown as red, green and blue where there is a near infrared: vegetation is red."""
NATURAL_COLOUR = (640.0, 550.0, 460.0)
_ROWS = 48
_EACH = 4


def patch_sources(project: Project) -> Steps[list[PatchSource]]:
    """Return the cubes as patches see them: used pixels, and where there is a PCA only those that it has scores of."""
    if not project.entries:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    sources = []
    for number, entry in enumerate(project.entries.values()):
        yield Progress(number, len(project.entries), f"patches of {entry.name}")
        foreground = project.area(entry.name)
        if project.inlet is not None and (project.inlet_folder() / f"{entry.name}.npy").exists():
            foreground &= np.isfinite(project.scores(entry.name)[..., 0])
        sources.append(PatchSource(entry.name, entry.domain, foreground))
    return sources


def cut_patches(project: Project, config: PatchConfig, sheet_path: Path | None = None) -> Steps[dict[str, Any]]:
    """Cut patches from the used pixels of every cube and make them the project's current ones; draw a sheet of examples where asked."""
    _sheet_name(sheet_path)
    sources = yield from patch_sources(project)
    index, left_out = build_index(sources, config)
    for cube, reason in left_out.items():
        yield Progress(len(sources), len(sources), f"cube '{cube}' is left out: {reason}", warning=True)
    for note in index.notes:
        yield Progress(len(sources), len(sources), note, warning=True)
    name = digest({"settings": config.model_dump(mode="json"), "index": index.digest})
    index.save(project.folder / "patches" / f"{name}.npz")
    report = {
        "patches": name,
        "count": len(index),
        "size": index.size,
        "per_domain": index.counts(),
        "left_out": left_out,
        "notes": list(index.notes),
        "settings": config.model_dump(mode="json"),
    }
    project.note("patches", report)
    project.patches = name
    if sheet_path is not None:
        yield from save_sheet(project, index, config, sheet_path)
        report["sheet"] = str(sheet_path)
    return report


# -- looking before cutting ---------------------------------------------------------------------------------------------


def preview_patches(project: Project, config: PatchConfig) -> Steps[PatchPreview]:
    """Count what a cut would give; nothing is written."""
    sources = yield from patch_sources(project)
    yield Progress(len(sources), len(sources), "counting patches")
    return preview(sources, config)


def preview_report(project: Project, config: PatchConfig, sheet_path: Path | None = None) -> Steps[dict[str, Any]]:
    """Return the figures of `preview_patches`, and draw a sheet of examples where asked; the project stays as it is."""
    _sheet_name(sheet_path)
    seen = yield from preview_patches(project, config)
    report = seen.report()
    if seen.trouble:
        yield Progress(message=seen.trouble, warning=True)
    for note in seen.notes:
        yield Progress(message=note, warning=True)
    if sheet_path is not None:
        if seen.index is None:
            raise ConfigError(f"no sheet is drawn: {seen.trouble}")
        yield from save_sheet(project, seen.index, config, sheet_path)
        report["sheet"] = str(sheet_path)
    return report


def save_sheet(project: Project, index: PatchIndex, config: PatchConfig, path: Path) -> Steps[None]:
    """Draw example patches of every domain into a PNG file."""
    from PIL import Image

    drawn = yield from example_patches(project, index, config)
    colours = f"{project.projection().word} 1, 2, 3 as red, green, blue" if _has_scores(project, index) else "false colour"
    title = f"{index.size}×{index.size} pixels, {colours}"
    with files.atomic_path(path) as temporary:
        Image.fromarray(sheet(drawn, title)).save(temporary, format="PNG")


def _sheet_name(path: Path | None) -> None:
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"the sheet is to be written to '{path.name}', expected a name that ends in .png; give such a name.")


def example_patches(project: Project, index: PatchIndex, config: PatchConfig, each: int = _EACH) -> Steps[tuple[Example, ...]]:
    """Read some patches of every domain as the network will see them: background filled, three channels as colours.

    The channels are the first three components where there is a PCA, else bands of a false-colour composite.
    """
    chosen = np.concatenate([*examples(index, each).values(), np.empty(0, dtype=np.intp)])
    scores = _has_scores(project, index)
    made: dict[int, Example] = {}
    cubes = sorted(set(index.cube[chosen].tolist()))
    for number, cube in enumerate(cubes):
        name = index.cubes[cube]
        yield Progress(number, len(cubes), f"example patches of {name}")
        rows = chosen[index.cube[chosen] == cube]
        for row, picture in zip(rows, _pictures(project, name, index, rows, config.background, scores), strict=True):
            y, x = int(index.y[row]), int(index.x[row])
            made[int(row)] = Example(name, index.domains[index.domain[row]], y, x, int(index.split[row]), float(index.coverage[row]), picture)
    return tuple(made[int(row)] for row in chosen)


def _has_scores(project: Project, index: PatchIndex) -> bool:
    return project.inlet is not None and all((project.inlet_folder() / f"{cube}.npy").exists() for cube in index.cubes)


def _pictures(project: Project, name: str, index: PatchIndex, rows: NDArray[np.intp], background: str, scores: bool) -> list[NDArray[np.uint8]]:
    """Return windows of one cube as 8-bit colours, all with one stretch, so that they can be compared."""
    data, channels, area = _channels(project, name, scores)
    sample = np.unique(np.linspace(0, data.shape[0] - 1, min(_ROWS, data.shape[0])).astype(int))
    values = np.concatenate([_read(data, slice(row, row + 1), slice(None), channels)[0][area[row]] for row in sample.tolist()])
    values = values[np.isfinite(values).all(axis=1)]
    windows = [_window(data, index, row, channels) for row in rows.tolist()]
    if not values.size:  # the sampled rows missed a small object
        values = np.concatenate([window.reshape(-1, len(channels)) for window in windows])
        values = values[np.isfinite(values).all(axis=1)]
    # As training does it (`learning.data`): the mean of the cube's foreground, or what is 0 once scaled: the mean of all spectra, where scores are 0.
    level = values.mean(axis=0) if background == "mean" or not scores else np.zeros(len(channels))
    low, high = np.percentile(values, (2, 98), axis=0)
    pictures = []
    for row, window in zip(rows.tolist(), windows, strict=True):
        y, x, size = int(index.y[row]), int(index.x[row]), index.size
        filled = fill(window, area[y : y + size, x : x + size], background, level)
        shown = np.clip((filled - low) / np.maximum(high - low, 1e-12), 0, 1) * 255
        pictures.append((shown if len(channels) == 3 else np.repeat(shown[..., :1], 3, axis=-1)).astype(np.uint8))
    return pictures


def _channels(project: Project, name: str, scores: bool) -> tuple[Any, list[int], NDArray[np.bool_]]:
    """Return an array (y, x, channel), the channels to show, and the foreground (y, x)."""
    area = project.area(name)
    if scores:
        data = project.scores(name)
        return data, list(range(3)) if data.shape[2] >= 3 else [0], area
    cube = project.cube(name)
    count = cube.sizes["band"]
    return cube.data, false_colour_bands(wavelengths(cube), count) if count >= 3 else [0], area


def false_colour_bands(centres: NDArray[np.floating] | None, count: int) -> list[int]:
    """Return three bands as red, green and blue: near infrared, red, green; natural ones; or bands spread from long to short."""
    if centres is not None and centres.min() < 600:
        for wanted in (FALSE_COLOUR, NATURAL_COLOUR):
            if centres.max() > wanted[0] - 60:
                return [int(np.abs(centres - target).argmin()) for target in wanted]
    return [round(share * (count - 1)) for share in (0.75, 0.5, 0.25)]


def _window(data: Any, index: PatchIndex, row: int, channels: list[int]) -> NDArray[np.float64]:  # noqa: ANN401 - an array of any kind
    y, x, size = int(index.y[row]), int(index.x[row]), index.size
    return _read(data, slice(y, y + size), slice(x, x + size), channels)


def _read(data: Any, rows: slice, columns: slice, channels: list[int]) -> NDArray[np.float64]:  # noqa: ANN401 - an array of any kind
    return np.stack([np.asarray(data[rows, columns, channel], dtype=np.float64) for channel in channels], axis=-1)
