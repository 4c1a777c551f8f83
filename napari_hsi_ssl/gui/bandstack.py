"""A cube too large for memory, as napari sees it: bands come from a worker, never from the GUI thread.

napari reads the band under the slider on the GUI thread, and a cold band of a 1 GB BIL or BIP file takes it 1 to 3 s. A
`BandStack` answers at once with a band it holds (the wanted one, or the last one shown) and asks for the wanted one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT_BYTES = 48 * 2**20


class BandStack:
    """Bands (band, y, x) that are read on demand, elsewhere.

    Parameters
    ----------
    shape : (int, int, int)
        Of the cube: y, x, band, as far as it is shown.
    band : int
    image : array (y, x)
        A first band; all others are of its type.
    wanted : callable
        Called with the index of a band that is not here; its image is given to `put` later.
    provisional : bool
        The first band is a glance, to be replaced once it is looked at.
    """

    ndim = 3

    def __init__(self, shape: tuple[int, ...], band: int, image: NDArray[Any], wanted: Callable[[int], None], *, provisional: bool = False) -> None:
        height, width, bands = shape
        self.shape = (bands, height, width)
        self.dtype = image.dtype
        self._wanted = wanted
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict() if provisional else OrderedDict({band: image})
        self._room = max(2, _KEPT_BYTES // max(1, image.nbytes))
        self._latest = image

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def put(self, band: int, image: NDArray[Any]) -> None:
        """Take a band that was read; the one unused longest makes room."""
        self._kept[band] = self._latest = image
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)

    def __getitem__(self, index: Any) -> NDArray[Any]:  # noqa: ANN401 - any NumPy index
        parts = index if isinstance(index, tuple) else (index,)
        if isinstance(parts[0], int | np.integer):
            return self._band(int(parts[0]))[parts[1:]]
        bands = np.arange(self.shape[0])[parts[0]]
        return np.stack([self._band(int(band)) for band in np.atleast_1d(bands)])[(slice(None), *parts[1:])]

    def _band(self, band: int) -> NDArray[Any]:
        if band < 0:
            band += self.shape[0]
        if band in self._kept:
            self._kept.move_to_end(band)
            self._latest = self._kept[band]
        else:
            self._wanted(band)
        return self._latest
