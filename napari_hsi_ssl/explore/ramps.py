"""Colours of a single quantity, told apart by colour-blind readers too."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Sequential: viridis (Smith and van der Walt 2015), every ninth. Diverging: ColorBrewer BrBG (Harrower and Brewer 2003).
_STOPS: Final = {
    "sequential": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "diverging": "543005 8c510a bf812d dfc27d f6e8c3 f5f5f5 c7eae5 80cdc1 35978f 01665e 003c30",
}


@cache
def ramp(name: str) -> NDArray[np.uint8]:
    """Return 256 colours (256, 3), from low to high: "sequential" or "diverging"."""
    stops = np.array([[int(colour[place : place + 2], 16) for place in (0, 2, 4)] for colour in _STOPS[name].split()], dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, 256)
    colours = np.stack([np.interp(at, np.arange(len(stops)), channel) for channel in stops.T], axis=-1).round().astype(np.uint8)
    colours.flags.writeable = False
    return np.asarray(colours)
