"""Plain rows: NumPy, scikit-learn and spectral, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np


def numbers(folder: Path, answer: Path) -> dict[str, Any]:
    """PCA in three ways and spectral angles."""
    import spectral
    from sklearn.decomposition import PCA

    spectral.settings.show_progress = False
    cube, ends, k = common.small_cube(folder), common.endmembers(folder), common.COMPONENTS

    def covariance() -> tuple[np.ndarray, np.ndarray]:
        spectra = cube.reshape(-1, cube.shape[-1])
        centred = spectra - spectra.mean(axis=0)
        _, vectors = np.linalg.eigh(centred.T @ centred / (len(spectra) - 1))
        components = vectors[:, ::-1][:, :k].T
        return centred @ components.T, components

    def sklearn_pca() -> Any:
        pca = PCA(k)
        return pca.fit_transform(cube.reshape(-1, cube.shape[-1])), pca.components_

    def spectral_pca() -> Any:
        found = spectral.principal_components(cube)
        return found.reduce(num=k).transform(cube), found.eigenvectors[:, :k].T

    def double() -> tuple[np.ndarray, np.ndarray]:
        spectra = cube.reshape(-1, cube.shape[-1])
        components = np.linalg.eigh(np.cov(spectra.T))[1][:, ::-1][:, :k].T
        return (spectra - spectra.mean(axis=0)) @ components.T.astype(np.float32), components

    found: dict[str, Any] = {}
    kept: dict[str, np.ndarray] = {}
    for name, call in (("numpy32", covariance), ("numpy64", double), ("sklearn", sklearn_pca), ("spectral", spectral_pca)):
        (_, components), found[f"{name}_pca_s"], found[f"{name}_pca_mb"] = common.repeated(call)
        kept[f"{name}_components"] = components
    angles = lambda: np.argmin(spectral.spectral_angles(cube, ends), axis=-1) + 1  # noqa: E731 - timed below
    labels, found["spectral_sam_s"], found["spectral_sam_mb"] = common.repeated(angles)
    np.savez(answer, labels=labels, **kept)
    return found


def knn(folder: Path, answer: Path) -> dict[str, Any]:
    """Classify every pixel by scikit-learn's brute-force search."""
    from sklearn.neighbors import KNeighborsClassifier

    cube, (spectra, classes) = common.small_cube(folder), common.references(folder)
    model = KNeighborsClassifier(common.NEIGHBOURS, algorithm="brute", n_jobs=-1).fit(spectra, classes)
    labels, seconds, mb = common.repeated(lambda: model.predict(cube.reshape(-1, cube.shape[-1])))
    np.savez(answer, labels=labels.reshape(cube.shape[:2]))
    return {"knn_s": seconds, "knn_mb": mb}


def memmap(folder: Path, answer: Path, layout: str) -> dict[str, Any]:
    """Three bands of a spectral memmap: no window, only the reading."""
    import spectral

    def read() -> np.ndarray:
        image = spectral.open_image(str(folder / f"{layout}.hdr"))
        bands = [int(np.abs(np.array(image.bands.centers) - nm).argmin()) for nm in (640, 550, 460)]
        return np.array(image.open_memmap()[:, :, bands])

    (_, seconds), peak = common.peak_mb(lambda: common.timed(read))
    return {"open_s": seconds, "peak_mb": peak}


if __name__ == "__main__":
    tasks: dict[str, common.Task] = {"numbers": numbers, "knn": knn}
    for kind in ("bsq", "bil", "bip"):
        tasks[f"open-{kind}"] = lambda folder, answer, kind=kind: memmap(folder, answer, kind)
    common.main(tasks)
