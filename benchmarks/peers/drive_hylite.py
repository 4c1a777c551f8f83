"""Drive hylite by napari-hippo: its ENVI reader and its false-colour tool in a napari window, and hylite's PCA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import common
import numpy as np


def _cube(folder: Path, answer: Path, layout: str, preview: bool) -> dict[str, Any]:
    from napari_hippo._hyliteTools import falseColor
    from napari_hippo._reader import read_ENVI

    viewer = common.window()

    def show() -> None:
        for data, options, _ in read_ENVI(str(folder / f"{layout}.hdr"), force_rgb=preview):
            viewer.add_image(data, **options)
        if not preview:
            viewer.layers.selection = {viewer.layers[-1]}
            falseColor(bands="640., 550., 460.")
        common.canvas_drawn(viewer)

    (_, seconds), peak = common.peak_mb(lambda: common.timed(show))
    return {"open_s": seconds, "peak_mb": peak}


def numbers(folder: Path, answer: Path) -> dict[str, Any]:
    """PCA as napari-hippo calls it."""
    from hylite import HyImage
    from hylite.filter import PCA

    image = HyImage(common.small_cube(folder))
    PCA(HyImage(image.data[:50]), bands=common.COMPONENTS, band_range=(0, -1))
    found, seconds, mb = common.repeated(lambda: PCA(image, bands=common.COMPONENTS, band_range=(0, image.band_count())))
    np.savez(answer, components=np.asarray(found[1])[: common.COMPONENTS])
    return {"pca_s": seconds, "pca_mb": mb}


if __name__ == "__main__":
    tasks: dict[str, common.Task] = {"numbers": numbers}
    for kind in ("bsq", "bil", "bip"):
        tasks[f"open-{kind}"] = lambda folder, answer, kind=kind: _cube(folder, answer, kind, preview=False)
        tasks[f"preview-{kind}"] = lambda folder, answer, kind=kind: _cube(folder, answer, kind, preview=True)
    common.main(tasks)
