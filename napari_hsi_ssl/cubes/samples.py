"""Sample data: Indian Pines, real, and a synthetic laboratory of seven domains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.cubes.cube import Classes, as_cube
from napari_hsi_ssl.cubes.laboratory import DOMAINS, LaboratoryCube, laboratory_classes, make_laboratory_cube
from napari_hsi_ssl.errors import ConfigError, CubeError
from napari_hsi_ssl.progress import Progress, Steps

__all__ = ["DOMAINS", "INDIAN_PINES_CLASSES", "LaboratoryCube", "indian_pines", "laboratory", "laboratory_classes", "make_laboratory_cube"]

INDIAN_PINES_CLASSES = (
    "Alfalfa", "Corn-notill", "Corn-mintill", "Corn", "Grass-pasture", "Grass-trees", "Grass-pasture-mowed", "Hay-windrowed",
    "Oats", "Soybean-notill", "Soybean-mintill", "Soybean-clean", "Wheat", "Woods", "Buildings-Grass-Trees-Drives",
    "Stone-Steel-Towers",
)  # fmt: skip
"""Names of the classes 1 to 16."""


def indian_pines() -> tuple[xr.DataArray, NDArray[np.int32], Classes]:
    """Return the AVIRIS scene Indian Pines with its ground truth, from the package tensorly.

    Values are the digital numbers of the published scene (500 × radiance in W m⁻² sr⁻¹ µm⁻¹ + 1000, Baumgardner, Biehl and
    Landgrebe 2015, doi:10.4231/R7RX991C; CC-BY 3.0), so they are neither radiance nor reflectance. The water bands 104–108,
    150–163 and 220 of 220 are left out. Bands are sorted by wavelength as every reader does it, because AVIRIS' spectrometers
    overlap; the coordinate ``source_band`` keeps the published order.

    Returns
    -------
    cube : DataArray (145, 145, 200)
        uint16, with wavelengths in nm.
    labels : int32 array (145, 145)
        0 = unlabelled.
    classes : Classes
        The 16 classes by their usual numbers.

    Raises
    ------
    CubeError
        When tensorly is not installed, or holds another scene than this.
    """
    try:
        from tensorly.datasets import load_indian_pines
    except ImportError as error:
        raise CubeError('the sample Indian Pines needs the package tensorly, which is not installed; run `pip install "napari-hsi-ssl[samples]"`.') from error
    bunch = load_indian_pines()
    values, labels = np.asarray(bunch["tensor"]), np.asarray(bunch["ticks"][0])
    centres = np.asarray(bunch["ticks"][1], dtype=np.float64)
    if values.shape != (145, 145, 200) or labels.shape != (145, 145) or centres.shape != (200,):
        raise CubeError(f"tensorly's Indian Pines has shape {values.shape}, expected (145, 145, 200); install tensorly 0.9 or 0.10.")
    centres = _corrected_centres(centres)
    order = np.argsort(centres, kind="stable")
    cube = as_cube(
        np.ascontiguousarray(values[:, :, order], dtype=np.uint16),
        centres[order],
        "dn",
        "indian_pines",
        source="tensorly.datasets.load_indian_pines",
        reference="doi:10.4231/R7RX991C",
    ).assign_coords(source_band=("band", order))
    return cube, labels.astype(np.int32), Classes.of(range(1, 17), dict(enumerate(INDIAN_PINES_CLASSES, start=1)))


def _corrected_centres(listed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the band centres in nm that belong to the cube's bands.

    tensorly lists the centres of bands 110–150 and 165–220 where the cube holds bands 109–149 and 164–219: the carbon dioxide
    absorptions of 2008 and 2058 nm then stand 10 nm too far. Two entries (2260.22, 2270.15) are misprints of 2212.23, 2222.15.
    """
    if listed[103] < 1415:  # a later tensorly that has it right
        return listed
    centres = np.concatenate([listed[:103], [1412.39], listed[103:143], [1943.27], listed[144:199]])
    centres[np.isclose(centres, 2260.22)], centres[np.isclose(centres, 2270.15)] = 2212.23, 2222.15
    return centres


def laboratory(folder: str | Path, *, size: int | tuple[int, int] = 128, cubes_per_domain: int = 3, seed: int = 0) -> Steps[list[Path]]:
    """Write the synthetic laboratory as ENVI files.

    The files are ``DOMAIN/DOMAIN_N.hdr`` and ``.dat`` with ground truth in ``DOMAIN/DOMAIN_N_labels.tif`` (0 = tray) and the
    names of the domain's classes in ``DOMAIN/classes.json``, where `rasters.read_labels` finds them, and of all in ``classes.json``.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    size : int or (int, int)
        Pixels along y and x; at 128 each cube gives at least 20 patches of 32×32 with the default mask, and all take 310 MB.
    cubes_per_domain : int
    seed : int

    Yields
    ------
    Progress

    Returns
    -------
    list of Path
        The headers, domain by domain.

    Raises
    ------
    ConfigError
        When the number of cubes is not positive.
    ProjectError
        When the folder cannot be written.
    """
    if cubes_per_domain < 1:
        raise ConfigError(f"laboratory: cubes_per_domain is {cubes_per_domain}, expected at least 1; choose a larger number.")
    from napari_hsi_ssl.cubes.writers import write_envi_cube

    folder = Path(folder)
    total = len(DOMAINS) * cubes_per_domain
    headers: list[Path] = []
    for domain in DOMAINS:
        for index in range(1, cubes_per_domain + 1):
            yield Progress(len(headers), total, f"{domain}_{index}")
            made = make_laboratory_cube(domain, index, size, seed)
            header = folder / domain / f"{domain}_{index}.hdr"
            write_envi_cube(header, made.cube)
            files.write_tiff(header.with_name(f"{header.stem}_labels.tif"), made.labels)
            headers.append(header)
        files.write_json(folder / domain / "classes.json", laboratory_classes(domain).to_json())
    files.write_json(folder / "classes.json", laboratory_classes().to_json())
    yield Progress(total, total, "laboratory written")
    return headers
