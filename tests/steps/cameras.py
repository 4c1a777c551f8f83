"""One scene seen by cameras of different bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from spectral.io import envi


def write_camera(folder: Path, domain: str, bands: int, number: int, side: int = 20) -> Path:
    """Write a cube (side, side, bands) of three materials with smooth spectra between 400 and 1000 nm, and its labels 1 to 3 beside it."""
    draws = np.random.default_rng(number)
    labels = np.kron(draws.permutation(16).reshape(4, 4) % 3, np.ones((side // 4, side // 4), dtype=int)) + 1
    nm = np.linspace(400, 1000, bands)
    curves = np.stack([0.3 + 0.1 * np.sin((nm - 400) / 600 * (2 + material) + material) for material in range(3)])
    shade = 1 + 0.1 * draws.normal(size=(side, side, 1))
    cube = (curves[labels - 1] * shade + 0.01 * draws.normal(size=(side, side, bands))).astype(np.float32)
    place = folder / domain
    place.mkdir(exist_ok=True)
    header = place / f"{domain}_{number}.hdr"
    envi.save_image(str(header), cube, interleave="bip", force=True, metadata={"wavelength": nm.tolist(), "wavelength units": "nm"})
    np.save(folder / f"{domain}_{number}.labels.npy", labels.astype(np.int32))
    return header
