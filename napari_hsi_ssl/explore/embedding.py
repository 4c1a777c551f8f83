"""UMAP of a sample of pixels: which pixels are drawn, where they come to lie, and the process that computes it.

``python -m napari_hsi_ssl.explore.embedding IN.npy OUT.npy NEIGHBOURS DISTANCE SEED`` is the process: umap-learn compiles for seconds and cannot
be stopped from within, so it gets one of its own, at low priority, which is killed when it is no longer wanted.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, limits
from napari_hsi_ssl.errors import DAMAGE, ConfigError, ProjectError
from napari_hsi_ssl.progress import Progress, Steps

_FEWEST_PIXELS = 10
_POLL_SECONDS = 0.1
_PERCENT = re.compile(r"(\d+)%")


@dataclass(frozen=True, eq=False)
class SampleMap:
    """Where a sample of pixels lies in a plane.

    Attributes
    ----------
    cubes : tuple of str
    cube : int32 array (n,)
        Number of each pixel's cube in ``cubes``, ascending.
    pixel : int64 array (n,)
        Flat number in the cube's frame, ascending within a cube.
    places : float32 array (n, 2)
    neighbours, seed : int
        What it was made with.
    """

    cubes: tuple[str, ...]
    cube: NDArray[np.int32]
    pixel: NDArray[np.int64]
    places: NDArray[np.float32]
    neighbours: int
    seed: int

    def at(self, cube: str, pixels: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the places (m, 2) of pixels of a cube, by flat numbers; NaN of those that are not in the sample."""
        found = np.full((len(pixels), 2), np.nan, dtype=np.float32)
        if cube not in self.cubes:
            return found
        here = np.flatnonzero(self.cube == self.cubes.index(cube))
        if not len(here):
            return found
        own = self.pixel[here]
        slot = np.minimum(np.searchsorted(own, pixels), len(own) - 1)
        known = own[slot] == pixels
        found[known] = self.places[here[slot[known]]]
        return found

    def save(self, path: Path) -> None:
        """Write everything into one .npz file, atomically."""
        files.write_npz(
            path, cubes=np.array(self.cubes, dtype=str), cube=self.cube, pixel=self.pixel, places=self.places,
            neighbours=np.array(self.neighbours), seed=np.array(self.seed),
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ProjectError
            When the file is damaged or something else.
        """
        try:
            with limits.opened_npz(path) as archive:
                values = {name: archive[name] for name in cls.__dataclass_fields__}
            count = len(values["pixel"])
            fits = values["places"].shape == (count, 2) and values["cube"].shape == (count,) and values["cubes"].ndim == 1
            neighbours, seed = int(values["neighbours"]), int(values["seed"])
        except DAMAGE as error:
            raise ProjectError(f"{path} is not a whole UMAP file ({type(error).__name__}: {error}); delete it and make the UMAP again.") from error
        if not fits:
            raise ProjectError(f"{path} is not a usable UMAP file (its arrays do not fit one another); delete it and make the UMAP again.")
        cubes = tuple(str(name) for name in values["cubes"])
        return cls(cubes, values["cube"], values["pixel"], values["places"], neighbours, seed)


def draw_pixels(areas: Mapping[str, NDArray[np.bool_]], domains: Mapping[str, str], count: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Draw pixels so that every domain has as many as another, as far as its pixels last.

    Parameters
    ----------
    areas : dict of str to bool array (y, x)
        Pixels to draw from, by cube.
    domains : dict of str to str
        Domain of every cube.
    count : int
        Pixels in all.
    seed : int
        The draw depends on it and on the names of the cubes, not on their order.

    Returns
    -------
    dict of str to int64 array (n,)
        Flat pixel numbers by cube, ascending.
    """
    sizes = {name: int(np.count_nonzero(areas[name])) for name in sorted(areas)}
    open_domains = {domain: sum(size for name, size in sizes.items() if domains[name] == domain) for domain in sorted({domains[name] for name in sizes})}
    share: dict[str, int] = {}
    left = count
    # The smallest first: what it cannot give, the larger ones do.
    for rank, domain in enumerate(sorted(open_domains, key=lambda name: (open_domains[name], name))):
        share[domain] = min(open_domains[domain], left // (len(open_domains) - rank))
        left -= share[domain]
    drawn = {}
    for domain, wanted in share.items():
        members = [name for name in sizes if domains[name] == domain]
        parts = _apportioned(wanted, [sizes[name] for name in members])
        for name, part in zip(members, parts, strict=True):
            generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
            drawn[name] = np.sort(generator.choice(np.flatnonzero(areas[name]), part, replace=False)).astype(np.int64)
    return drawn


def _apportioned(wanted: int, sizes: list[int]) -> list[int]:
    """Return whole parts of a number in proportion to sizes, none larger than its size (largest remainders)."""
    total = sum(sizes)
    if total == 0:
        return [0] * len(sizes)
    exact = [wanted * size / total for size in sizes]
    parts = [int(value) for value in exact]
    for index in sorted(range(len(sizes)), key=lambda index: parts[index] - exact[index])[: wanted - sum(parts)]:
        parts[index] += 1
    return parts


def check_umap(pixels: int, neighbours: int) -> None:
    """Say in one sentence why no UMAP can be made.

    Raises
    ------
    ConfigError
        When umap-learn is not installed, or there are too few pixels.
    """
    if importlib.util.find_spec("umap") is None:
        raise ConfigError("UMAP needs the package umap-learn, which is not installed here; install it with `pip install umap-learn` and try again.")
    if pixels < max(_FEWEST_PIXELS, neighbours + 1):
        least = max(_FEWEST_PIXELS, neighbours + 1)
        raise ConfigError(f"the sample holds {pixels} pixels, but a UMAP with --neighbours {neighbours} needs at least {least}; take more or fewer neighbours.")


def umap_places(features: NDArray[np.floating], neighbours: int = 15, distance: float = 0.1, seed: int = 0) -> Steps[NDArray[np.float32]]:
    """Return where points come to lie in a plane, computed in a process of its own; closing the generator ends it.

    Parameters
    ----------
    features : array (n, k)
        Finite.
    neighbours : int
        How many neighbours tell the local shape.
    distance : float
        How near points may lie (``min_dist``).
    seed : int

    Returns
    -------
    float32 array (n, 2)

    Raises
    ------
    ConfigError
        As `check_umap`, and when the process fails.

    References
    ----------
    McInnes, Healy and Melville (2018), UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction.
    """
    check_umap(len(features), neighbours)
    with tempfile.TemporaryDirectory() as name:
        given, made = Path(name) / "features.npy", Path(name) / "places.npy"
        np.save(given, np.asarray(features, dtype=np.float32))
        command = [sys.executable, "-m", __name__, str(given), str(made), str(neighbours), str(distance), str(seed)]
        # Blind to modules that lie in the folder where the user happens to be: it may be a stranger's.
        apart = {**os.environ, "PYTHONSAFEPATH": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=apart) as process:
            assert process.stdout is not None
            listener = _Listener(process.stdout)
            try:
                while process.poll() is None:
                    yield Progress(listener.percent, 100 if listener.percent else 0, f"UMAP of {len(features):,} pixels")
                    listener.join(_POLL_SECONDS)
            finally:
                if process.poll() is None:
                    process.kill()
                listener.join()  # before the stream it reads from is closed
        if process.returncode != 0 or not made.exists():
            reason = next((line for line in reversed(listener.text.splitlines()) if line.strip()), "no word why").strip()
            raise ConfigError(f"the UMAP of {len(features):,} pixels failed ({reason}); try a smaller --sample, or look after the package umap-learn.")
        places: NDArray[np.float32] = np.load(made, allow_pickle=False)
        return places


class _Listener(threading.Thread):
    """Reads what a process writes and picks the percentages out."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.percent = 0.0
        self.text = ""
        self.start()

    def run(self) -> None:
        """Read until the process ends."""
        while block := os.read(self._stream.fileno(), 4096):
            words = block.decode(errors="replace")
            self.text = (self.text + words)[-20_000:]
            found = _PERCENT.findall(words)
            if found:
                self.percent = float(found[-1])


def _compute(given: Path, made: Path, neighbours: int, distance: float, seed: int) -> None:
    if hasattr(os, "nice"):
        os.nice(10)
    import umap

    features = np.load(given, allow_pickle=False)
    # One thread, because only then the seed decides everything.
    model = umap.UMAP(n_neighbors=neighbours, min_dist=distance, n_components=2, random_state=seed, n_jobs=1, verbose=True)
    np.save(made, model.fit_transform(features).astype(np.float32))


if __name__ == "__main__":
    _compute(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
