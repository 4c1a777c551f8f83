"""Scatter, scree and loadings as figures, tables and reports."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import palette
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.figure import curves_figure, density_figure
from napari_hsi_ssl.explore.shading import binned, blended_image, dotted, side_for, single_image
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project
from napari_hsi_ssl.steps.coordinates import Space, pair_of
from napari_hsi_ssl.steps.pca import components
from napari_hsi_ssl.steps.scatter import Colouring, View, scatter

_MOST_CURVES = 6


def scatter_report(
    project: Project, x: int = 1, y: int = 2, colour: Colouring = "domain", space: Space = "components", to: Path | None = None
) -> Steps[dict[str, Any]]:
    """Count all used pixels in the plane of two components (from 1), and write the picture (.png) or the filled bins (.csv).

    Raises
    ------
    ConfigError
        When a component is not there, or the file's ending is another.
    """
    _check(to)
    pair = pair_of(project, space=space)
    view = yield from scatter(project, type(pair)(x - 1, y - 1, space, pair.inlet), colour)
    sizes = {name: int(found.counts.sum()) for name, found in view.densities.items()}
    if to is not None:
        yield Progress(message=f"writing {to.name}")
        if to.suffix.lower() == ".png":
            _write_picture(to, _picture(view, sizes))
        else:
            _write_bins(to, view)
    return {"axes": list(view.axes), "limits": view.plane.limits, "bins": view.plane.bins, "colour": colour, "pixels": sizes, "inlet": pair.inlet, "to": to}


def components_report(project: Project, cube: str | None = None, to: Path | None = None) -> Steps[dict[str, Any]]:
    """Return scree and loadings of the current projection on the bands of a cube, and write them as a table (.csv) or picture (.png).

    Raises
    ------
    ConfigError
        When the file's ending is another.
    """
    _check(to)
    yield Progress(message="reading the PCA")
    found = components(project, cube)
    unit = "wavelength_nm" if found.in_nm else "band"
    if to is not None and to.suffix.lower() == ".png":
        shown = dict(zip((f"{name} ({share:.1%})" for name, share in zip(found.names, found.explained, strict=True)), found.loadings, strict=True))
        shown = dict(list(shown.items())[:_MOST_CURVES])
        axis = "Wavelength (nm)" if found.in_nm else "Band number"
        _write_picture(to, curves_figure(found.positions, shown, palette(len(shown)), (axis, "Loading")))
    elif to is not None:
        rows = [["", *found.names], ["explained", *found.explained], ["cumulative", *found.cumulative], [unit, *found.names]]
        rows += [[position, *loading] for position, loading in zip(found.positions, found.loadings.T, strict=True)]
        _write_table(to, rows)
    return {
        "names": list(found.names),
        "explained": found.explained.tolist(),
        "cumulative": found.cumulative.tolist(),
        "positions": found.positions.tolist(),
        "unit": unit,
        "loadings": found.loadings.tolist(),
        "to": to,
    }


def _check(to: Path | None) -> None:
    if to is not None and to.suffix.lower() not in {".png", ".csv"}:
        raise ConfigError(f"--to {to} ends in '{to.suffix}', expected .png or .csv; choose one of these.")


def _picture(view: View, sizes: dict[str, int]) -> NDArray[np.uint8]:
    side = side_for(sum(sizes.values()), view.plane.bins)
    groups = {name: dotted(binned(found.counts, side)) for name, found in view.densities.items()}
    if view.colour == "density":
        picture, entries = single_image(groups[next(iter(groups))], dark=False), [(f"{sum(sizes.values()):,} px", "#440154")]
    else:
        names = sorted(groups)
        colours = dict(zip(names, palette(len(names)), strict=True)) | view.colours
        picture = blended_image(list(groups.values()), [colours[name] for name in groups])
        entries = [(f"{name} · {sizes[name]:,} px", colours[name]) for name in groups]
    return density_figure(picture, view.plane.limits, view.axes, entries)


def _write_picture(to: Path, picture: NDArray[np.uint8]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    files.write_bytes(to, buffer.getvalue())


def _write_bins(to: Path, view: View) -> None:
    """Write the centre of each filled bin and how many pixels of each group lie in it."""
    names = list(view.densities)
    counts = np.array([found.counts for found in view.densities.values()])
    first = next(iter(view.densities.values()))
    across, along = ((edges[:-1] + edges[1:]) / 2 for edges in (first.x_edges, first.y_edges))
    x, y = np.nonzero(counts.any(axis=0))
    rows: list[list[Any]] = [[*view.axes, *names]]
    rows += [[f"{across[i]:.6g}", f"{along[j]:.6g}", *counts[:, i, j].tolist()] for i, j in zip(x.tolist(), y.tolist(), strict=True)]
    _write_table(to, rows)


def _write_table(to: Path, rows: list[list[Any]]) -> None:
    files.write_bytes(to, files.csv_text(rows).encode())
