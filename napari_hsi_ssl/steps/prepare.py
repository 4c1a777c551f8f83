"""Prepare spectra: bad bands, the chain of preprocessing, saturated pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.config import ChainConfig
from napari_hsi_ssl.cubes.bad_bands import BandReport, Water, band_text, find_bad_bands, parse_bands
from napari_hsi_ssl.cubes.cube import spectrum, valid_pixels, wavelengths
from napari_hsi_ssl.cubes.preprocess import preprocess, preprocess_spectra
from napari_hsi_ssl.cubes.saturation import find_saturated
from napari_hsi_ssl.errors import ProjectError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.project import Project

_PREVIEWED = 32


@dataclass(frozen=True, eq=False)
class SpectraPreview:
    """A few spectra of a cube before and after a chain.

    Attributes
    ----------
    raw, prepared : float64 arrays (n, band), (n, new band)
    positions, new_positions : float64 arrays
        nm, or band numbers.
    in_nm : bool
    bad, new_bad : bool arrays
    where : str
        Whose spectra these are, in words.
    """

    raw: NDArray[np.float64]
    prepared: NDArray[np.float64]
    positions: NDArray[np.float64]
    new_positions: NDArray[np.float64]
    in_nm: bool
    bad: NDArray[np.bool_]
    new_bad: NDArray[np.bool_]
    where: str


# -- bad bands --------------------------------------------------------------------------------------------------------------


def judge_bands(project: Project, cube: str, water: Water = "auto") -> Steps[BandReport]:
    """Judge the bands of a cube within its mask; nothing is saved.

    The header's own list counts as it stands in the file, whatever the user chose before.
    """
    return (yield from find_bad_bands(_as_filed(project, cube), project.area(cube), water))


def bad_bands(
    project: Project, cubes: Sequence[str] | None = None, *, detect: bool = False, chosen: str | None = None, keep: str | None = None, water: Water = "auto"
) -> Steps[dict[str, Any]]:
    """Say which bands of cubes are bad, and change that where asked.

    Parameters
    ----------
    cubes : sequence of str, optional
        All by default.
    detect : bool
        Judge the bands and save what is found.
    chosen : str, optional
        Bands such as ``0-5,104-108``, ``none``, or ``header`` for the file's own list.
    keep : str, optional
        Bands that are good whatever was found.
    water : {"auto", "yes", "no"}
        Whether the windows of water vapour are bad; see `find_bad_bands`.

    Raises
    ------
    ProjectError
        When there is no such cube, both ways are asked for at once, or no band would be left.
    """
    if detect and chosen is not None:
        raise ProjectError("--detect and --set were both given, expected one of them; leave one out.")
    names = list(cubes) if cubes else list(project.entries)
    if not names:
        raise ProjectError(f"project {project.folder.name} has no cubes yet; add some with `napari-hsi-ssl add`.")
    rows, changed = [], []
    for number, name in enumerate(names):
        entry = project.entry(name)
        count = entry.shape[2]
        kept = set(parse_bands(keep, count, "--keep")) if keep else set()
        row: dict[str, Any] = {"cube": name, "bands": count}
        flags: tuple[int, ...] | None = None
        if detect:
            report = yield from judge_bands(project, name, water)
            flags = tuple(band for band in report.bad if band not in kept)
            row["reasons"] = {
                reason: band_text(band for band in flags if report.reasons[band] == reason) for reason in sorted({report.reasons[band] for band in flags})
            }
            row["snr_median"] = float(np.median(report.snr))
        elif chosen == "header":
            flags = tuple(band for band in _flagged(project.raw(name)) if band not in kept) if kept else None
        elif chosen is not None:
            flags = tuple(band for band in parse_bands("" if chosen == "none" else chosen, count) if band not in kept)
        elif kept:
            flags = tuple(band for band in _flagged(project.cube(name)) if band not in kept)
        if detect or chosen is not None or kept:
            if flags is not None and len(flags) >= count:
                raise ProjectError(f"bad bands of cube '{name}': all {count} bands would be bad, expected at least one good one; name fewer.")
            changed.append(replace(entry, bad_bands=flags))
        now = flags if flags is not None else _flagged(project.raw(name) if chosen == "header" else project.cube(name))
        by_header = flags is None and (chosen == "header" or entry.bad_bands is None)
        row |= {"bad": band_text(now), "count": len(now), "by": "header" if by_header else "choice"}
        rows.append(row)
        yield Progress(number + 1, len(names), f"{name}: {len(now)} of {count} bands are bad")
    if changed:
        project.put(*changed)
    return {"cubes": rows}


def save_bad_bands(project: Project, cube: str, bands: Sequence[int] | None, alike: bool = False) -> Steps[dict[str, Any]]:
    """Save bad bands of a cube, and with ``alike`` of every cube of its domain that has the same bands; None is the header's list."""
    entry = project.entry(cube)
    if bands is not None and len(set(bands)) >= entry.shape[2]:
        raise ProjectError(f"bad bands of cube '{cube}': all {entry.shape[2]} bands would be bad, expected at least one good one; leave some good.")
    others = [project.entry(name) for name in cubes_alike(project, cube)] if alike else [entry]
    project.put(*(replace(other, bad_bands=None if bands is None else tuple(sorted(set(bands)))) for other in others))
    yield Progress(1, 1, f"bad bands of {len(others)} cube{'s' * (len(others) != 1)} saved")
    return {"cubes": [other.name for other in others], "bad": None if bands is None else band_text(bands)}


def cubes_alike(project: Project, cube: str) -> list[str]:
    """Return the names of a cube and of every other one of its domain that has the same bands, in the project's order."""
    entry = project.entry(cube)
    return [
        other.name
        for other in project.entries.values()
        if other.name == cube or (other.domain == entry.domain and other.shape[2] == entry.shape[2] and other.wavelengths == entry.wavelengths)
    ]


def _flagged(cube: Any) -> tuple[int, ...]:  # noqa: ANN401 - a DataArray
    return tuple(int(band) for band in np.flatnonzero(cube.attrs.get("bad_bands", [])))


def _as_filed(project: Project, name: str) -> Any:  # noqa: ANN401 - a DataArray
    """Open a calibrated cube with the bad bands that its file states, not those of the user."""
    from napari_hsi_ssl.cubes.references import calibrated

    return calibrated(project.raw(name), project.entry(name).calibration, project.folder)


# -- the chain --------------------------------------------------------------------------------------------------------------


def set_chain(project: Project, chain: ChainConfig) -> Steps[dict[str, Any]]:
    """Save how spectra are prepared, once it is certain that every cube can be prepared so.

    Raises
    ------
    CubeError
        When a step does not fit a cube.
    """
    names = list(project.entries)
    for number, name in enumerate(names):
        yield Progress(number, len(names), f"trying the chain on {name}")
        preprocess(project.cube(name), chain)
    project.chain = chain
    yield Progress(1, 1, "chain saved")
    return chain_report(project)


def chain_report(project: Project) -> dict[str, Any]:
    """Say which steps prepare the spectra, and whether the projection was made with them."""
    chain = project.chain
    noted = project.noted("pca")
    made = noted.get("chain", {"steps": []})
    outdated = project.inlet is not None and bool(noted) and ChainConfig.parse(made, "preprocessing.json") != chain
    report: dict[str, Any] = {"steps": list(chain.texts()), "pca_outdated": outdated}
    warnings = [*chain.doubts(), *(["the PCA was made with another chain; fit it again to use this one"] if outdated else [])]
    if warnings:
        report["warnings"] = warnings
    return report


def preview_chain(project: Project, cube: str, chain: ChainConfig, pixel: tuple[int, int] | None = None) -> Steps[SpectraPreview]:
    """Return spectra of a cube before and after a chain: of one pixel, or of some spread over its mask; nothing is saved.

    Raises
    ------
    CubeError
        When a step does not fit the cube.
    """
    opened = project.cube(cube)
    yield Progress(message=f"reading spectra of {cube}")
    if pixel is not None:
        spectra, where = spectrum(opened, *pixel)[None].astype(np.float64), f"pixel y {pixel[0]}, x {pixel[1]}"
    else:
        places = np.argwhere(project.area(cube))
        if not len(places):
            raise ProjectError(f"cube '{cube}' has an empty mask, so there is no spectrum to preview; make another mask.")
        chosen = places[np.unique(np.linspace(0, len(places) - 1, _PREVIEWED).astype(int))]
        found = []
        for y, x in chosen.tolist():
            found.append(spectrum(opened, y, x).astype(np.float64))
            yield Progress(len(found), len(chosen), f"reading spectra of {cube}")
        whole = "mask" if project.mask_path(cube).exists() else "image"
        spectra, where = np.array(found), f"mean of {len(found)} pixels spread over the {whole}"
    spectra = spectra[valid_pixels(np.nan_to_num(spectra), opened.attrs.get("nodata"))]
    if not len(spectra):
        raise ProjectError(f"cube '{cube}': the {where} is the ignore value only, so there is no spectrum to preview; pin another pixel.")
    centres, bad = wavelengths(opened), opened.attrs.get("bad_bands")
    flags = np.zeros(opened.shape[2], dtype=bool) if bad is None else np.asarray(bad, dtype=bool)
    prepared, new = preprocess_spectra(spectra, centres, chain, flags)
    after = preprocess(opened, chain).attrs.get("bad_bands")
    count = prepared.shape[1]
    return SpectraPreview(
        spectra,
        prepared,
        np.arange(opened.shape[2], dtype=np.float64) if centres is None else centres,
        np.arange(count, dtype=np.float64) if new is None else new,
        centres is not None,
        flags,
        np.zeros(count, dtype=bool) if after is None else np.asarray(after, dtype=bool),
        where,
    )


# -- saturated pixels ---------------------------------------------------------------------------------------------------------


def flag_saturated(project: Project, cubes: Sequence[str] | None = None, *, ceiling: float | None = None, unmask: bool = True) -> Steps[dict[str, Any]]:
    """Count saturated pixels, and take them out of the masks.

    Parameters
    ----------
    ceiling : float, optional
        The number at which a pixel is saturated; see `cubes.saturation.find_saturated` for what counts without it.
    unmask : bool
        Leave them out of each cube's mask; without it they are only counted.
    """
    rows, warnings = [], []
    for name in list(cubes) if cubes else list(project.entries):
        found = yield from find_saturated(project.raw(name), ceiling)
        count = int(found.pixels.sum())
        mask = project.mask(name)
        before = np.ones(found.pixels.shape, dtype=bool) if mask is None else mask
        inside = int((before & found.pixels).sum())
        bands = band_text(np.flatnonzero(found.bands))
        row: dict[str, Any] = {"cube": name, "ceiling": found.ceiling, "saturated": count, "in_mask": inside, "bands": bands}
        if count and unmask:
            left = before & ~found.pixels
            row["removed"] = inside
            if not left.any():
                raise ProjectError(f"cube '{name}': every pixel of the mask is saturated, so none would be left; expose it less, or give --ceiling.")
            project.save_mask(name, left)
        if count:
            words = "left out of the mask" if unmask else "still in the mask"
            warnings.append(f"{count} pixels of cube '{name}' are saturated (at {found.ceiling:g}): {words}")
            yield Progress(message=warnings[-1], warning=True)
        rows.append(row)
    return {"cubes": rows, "warnings": warnings}
