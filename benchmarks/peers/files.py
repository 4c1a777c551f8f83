"""The files that all are measured on: 1 GB ENVI cubes, a cube of 610 × 340 × 103, nine spectra and 900 labelled pixels of it, scores, and a lasso."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

SHAPE = (1600, 1600, 200)
SMALL = (610, 340, 103)
LARGE = (2500, 4000)
FILE_AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


def write_cubes(folder: Path, layouts: Iterable[str] = FILE_AXES) -> None:
    """Write the same cube in each interleave, uint16, some rows at a time."""
    height, width, bands = SHAPE
    generator = np.random.default_rng(0)
    centres = ", ".join(f"{nm:.2f}" for nm in np.linspace(400, 1000, bands))
    curves = (500 + 2000 * generator.random((4, 1)) * (1 + np.sin(np.linspace(0, 6, bands)[None] + 6 * generator.random((4, 1))))).astype(np.uint16)
    noise = generator.integers(0, 60, (32, width, bands), dtype=np.uint16)
    files, headers = {}, {}
    for layout in layouts:
        axes = FILE_AXES[layout]
        stored = np.memmap(folder / f"{layout}.dat", dtype="<u2", mode="w+", shape=tuple(SHAPE[axis] for axis in axes))
        files[layout] = stored.transpose(np.argsort(axes))
        headers[layout] = (
            f"ENVI\nsamples = {width}\nlines = {height}\nbands = {bands}\nheader offset = 0\nfile type = ENVI Standard\ndata type = 12\n"
            f"interleave = {layout}\nbyte order = 0\nwavelength units = Nanometers\nwavelength = {{{centres}}}\n"
        )
    for first in range(0, height, 32):
        rows = np.arange(first, first + 32)
        kind = ((rows[:, None] // 100) + (np.arange(width)[None] // 130)) % 4
        block = curves[kind] + np.roll(noise, first, axis=1)
        for cube in files.values():
            cube[rows[0] : rows[-1] + 1] = block
    for layout, text in headers.items():  # last, so that a cube with a header is whole
        files[layout].base.flush()
        (folder / f"{layout}.hdr").write_text(text)


def write_small(folder: Path) -> None:
    """Write the cube of nine mixed materials, their spectra, scores of two sizes, and the lasso."""
    generator = np.random.default_rng(1)
    height, width, bands = SMALL
    materials = (0.5 + 0.02 * np.cumsum(generator.standard_normal((9, bands)), axis=1)).astype(np.float32)
    materials -= min(0.0, float(materials.min())) - 0.05
    shares = generator.dirichlet(np.full(9, 0.3), height * width).astype(np.float32)
    cube = shares @ materials + 0.005 * generator.standard_normal((height * width, bands)).astype(np.float32)
    np.save(folder / "small.npy", cube.reshape(SMALL))
    np.save(folder / "endmembers.npy", materials)
    most = shares.argmax(axis=1)
    chosen = np.concatenate([generator.choice(np.flatnonzero(most == material), 100, replace=False) for material in range(len(materials))])
    np.savez(folder / "references.npz", spectra=cube[chosen], classes=most[chosen] + 1)
    for name, shape in (("small", SMALL[:2]), ("large", LARGE)):
        centres = generator.normal(0, 2, (6, 2))
        points = centres[generator.integers(0, 6, shape)] + 0.4 * generator.standard_normal((*shape, 2))
        np.save(folder / f"scores-{name}.npy", points.astype(np.float32))
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 1.6 + 0.3 * np.sin(5 * turn)
    np.save(folder / "lasso.npy", np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1))
