"""Windows of cameras with different bands: gathered domain by domain, each from its own memory-mapped cubes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from napari_hsi_ssl.config import DomainInput
from napari_hsi_ssl.learning.data import Image, PatchStore, PixelWindows, fill_background
from napari_hsi_ssl.learning.inlets import Bands, InletBank
from napari_hsi_ssl.patches.index import PatchIndex


def band_card(domain: DomainInput, bank: InletBank, background: str) -> dict[str, Any]:
    """Return what `PatchStore` and `fill_background` must know of a domain's bands."""
    neutral = bank.of(domain.name).offset.double().cpu().tolist()
    return {"channels": len(domain.used), "input": {"offset": neutral, "background": background}}


class _ByDomain:
    """Rows that lie in the stores of several domains.

    Parameters
    ----------
    stores : sequence of PatchStore or of PixelWindows
        One a domain.
    domain, place : int arrays (n,)
        The store of each row, and its place there.
    """

    def __init__(self, stores: Sequence[PatchStore | PixelWindows], domain: NDArray[np.integer], place: NDArray[np.integer]) -> None:
        self._stores, self._domain, self._place = stores, domain, place

    def tensor(self, rows: NDArray[np.integer], device: torch.device, shift: NDArray[np.integer] | None = None) -> Bands:
        """Return the filled bands of the given rows on a device, for `InletBank`; ``shift`` (n, 2) moves patches."""
        of = self._domain[rows]
        groups = [np.flatnonzero(of == number) for number in range(len(self._stores))]
        parts = []
        for store, group in zip(self._stores, groups, strict=True):
            places = self._place[rows[group]]
            if isinstance(store, PatchStore) and shift is not None:
                parts.append(store.tensor(places, device, shift[group]))
            else:
                parts.append(store.tensor(places, device))
        order = np.empty(rows.size, dtype=np.int64)
        order[np.concatenate(groups)] = np.arange(rows.size)
        return Bands(tuple(parts), torch.from_numpy(order).to(device))


class PatchesByDomain(_ByDomain):
    """What `PatchStore` is for scores, for bands.

    Parameters
    ----------
    index : PatchIndex
    images : dict of str to float array (y, x, B)
        The bands of every cube, memory maps for instance; copied into memory where all of them fit into half of what is free.
    areas : dict of str to bool array (y, x)
        Foreground by cube name.
    domains : dict of str to DomainInput
        By cube name.
    bank : InletBank
    card : dict
        Of the model.
    """

    def __init__(
        self,
        index: PatchIndex,
        images: Mapping[str, Image],
        areas: Mapping[str, NDArray[np.bool_]],
        domains: Mapping[str, DomainInput],
        bank: InletBank,
        card: Mapping[str, Any],
    ) -> None:
        self.index, self.card = index, card
        resident = sum(image.nbytes for image in images.values()) < psutil.virtual_memory().available / 2
        by_cube = np.array([bank.domains.index(domains[name].name) if name in domains else -1 for name in index.cubes])
        domain = by_cube[index.cube]
        place = np.zeros(len(index), dtype=np.int64)
        stores = []
        for number, name in enumerate(bank.domains):
            rows = domain == number
            place[rows] = np.arange(rows.sum())
            own = {cube: image for cube, image in images.items() if domains[cube].name == name}
            settings = band_card(domains[next(iter(own))], bank, card["input"]["background"])
            own_areas = {cube: areas[cube] for cube in own}
            stores.append(PatchStore(index.subset(rows), own, own_areas, settings, resident=resident))
        super().__init__(stores, domain, place)

    def __len__(self) -> int:
        return len(self.index)


class PixelsByDomain(_ByDomain):
    """What `PixelWindows` is for scores, for bands; the pixels of one domain after those of another.

    Attributes
    ----------
    labels : int64 array (n,)
        Class of each window, 0 … classes − 1.

    Parameters
    ----------
    images, areas, domains : dicts
        As `PatchesByDomain` has them.
    labels : sequence of int array (y, x)
        One a cube, in the order of the images.
    bank : InletBank
    numbers : sequence of int
        All class numbers, ascending.
    window : int
    card : dict
        Of the model.
    """

    def __init__(
        self,
        images: Mapping[str, Image],
        areas: Mapping[str, NDArray[np.bool_]],
        labels: Sequence[NDArray[np.integer]],
        domains: Mapping[str, DomainInput],
        bank: InletBank,
        numbers: Sequence[int],
        window: int,
        card: Mapping[str, Any],
    ) -> None:
        of_cube = dict(zip(images, labels, strict=True))
        stores = []
        for name in bank.domains:
            here = [cube for cube in images if domains[cube].name == name]
            settings = band_card(domains[here[0]], bank, card["input"]["background"])
            filled = [fill_background(images[cube], settings, areas[cube]) for cube in here]
            stores.append(PixelWindows(filled, [of_cube[cube] for cube in here], numbers, window))
        counts = [len(store) for store in stores]
        self.labels: NDArray[np.int64] = np.concatenate([store.labels for store in stores])
        super().__init__(stores, np.repeat(np.arange(len(stores)), counts), np.concatenate([np.arange(count) for count in counts]))

    def __len__(self) -> int:
        return self.labels.size
