"""The picture of the embedding that a trainer leaves while it works: where held-out patches lie in a plane (``embedding.npz``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files, limits
from napari_hsi_ssl.errors import DAMAGE, RunError
from napari_hsi_ssl.patches.index import PatchIndex

_ADDRESS = ("cube", "y", "x", "domain")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where some patches lie in the plane of an embedding.

    Attributes
    ----------
    places : float32 array (n, 2)
    explained : float
        Share of the embedding's variance that the plane holds, in [0, 1].
    epoch : int
        After which it was taken.
    cubes, domains : tuple of str
        Names that ``cube`` and ``domain`` point to.
    cube, y, x, domain : int32 array (n,)
        The patches, as in `PatchIndex`.
    size : int
        Side of their windows in pixels.
    """

    places: NDArray[np.float32]
    explained: float
    epoch: int
    cubes: tuple[str, ...]
    domains: tuple[str, ...]
    cube: NDArray[np.int32]
    y: NDArray[np.int32]
    x: NDArray[np.int32]
    domain: NDArray[np.int32]
    size: int

    @classmethod
    def of(cls, index: PatchIndex, places: NDArray[np.float32], explained: float, epoch: int) -> Snapshot:
        """Return the snapshot of the patches of an index."""
        return cls(places, explained, epoch, index.cubes, index.domains, index.cube, index.y, index.x, index.domain, index.size)

    def save(self, path: Path) -> None:
        """Write the snapshot, atomically; some ten kilobytes for 512 patches."""
        names = {key: np.array(getattr(self, key), dtype=np.str_) for key in ("cubes", "domains")}
        numbers = {"explained": np.array(self.explained), "epoch": np.array(self.epoch), "size": np.array(self.size)}
        files.write_npz(path, places=self.places, **names, **numbers, **{key: getattr(self, key) for key in _ADDRESS})

    @classmethod
    def load(cls, path: Path) -> Snapshot | None:
        """Read what `save` wrote; None where there is none.

        Raises
        ------
        RunError
            When the file is something else, or points outside its own names.
        """
        if not path.exists():
            return None
        try:
            with limits.opened_npz(path) as content:
                cubes, domains = (tuple(map(str, content[key])) for key in ("cubes", "domains"))
                address = {key: content[key].astype(np.int32) for key in _ADDRESS}
                numbers = {"explained": float(content["explained"]), "epoch": int(content["epoch"]), "size": int(content["size"])}
                found = cls(places=content["places"].astype(np.float32), cubes=cubes, domains=domains, **numbers, **address)  # type: ignore[arg-type]
        except DAMAGE as error:
            raise RunError(f"{path} is no picture of an embedding ({error}); delete it: a live run writes it anew.") from error
        shapes = {getattr(found, key).shape for key in _ADDRESS} | {found.places.shape[:1]}
        if found.places.ndim != 2 or found.places.shape[1] != 2 or len(shapes) != 1 or not found._points_inside():
            raise RunError(f"{path} does not fit its own patches, expected a place (x, y) for each; delete it: a live run writes it anew.")
        return found

    def _points_inside(self) -> bool:
        limits = ((self.cube, len(self.cubes)), (self.domain, len(self.domains)))
        return all(not array.size or (array.min() >= 0 and array.max() < limit) for array, limit in limits)

    def fits(self, index: PatchIndex) -> bool:
        """Whether the snapshot is of just these patches, in this order."""
        return self.cubes == index.cubes and all(np.array_equal(getattr(self, key), getattr(index, key)) for key in _ADDRESS)
