"""Two embeddings of a cube side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl.mapping.maps import Embedding

_SAMPLE: Final = 4096
"""Pixels a cube by which centre and spread are told."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Embeddings of one cube side by side, read like an array (y, x, d).

    Attributes
    ----------
    parts : sequence of Embedding
        Of one frame.
    centres : sequence of float64 array (d,)
        What is taken from each.
    spreads : sequence of float
        By what each is divided: so brought to a total variance of 1, both weigh alike in a cosine.
    """

    parts: Sequence[Embedding]
    centres: Sequence[NDArray[np.float64]]
    spreads: Sequence[float]

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, dimensions."""
        return (*self.parts[0].shape[:2], sum(part.shape[2] for part in self.parts))

    def __getitem__(self, which: Any) -> NDArray[np.float32]:  # noqa: ANN401 - rows or a mask
        """Return the features of some rows or pixels, float32."""
        blocks = [(np.asarray(part[which], dtype=np.float32) - c) / s for part, c, s in zip(self.parts, self.centres, self.spreads, strict=True)]
        return np.concatenate(blocks, axis=-1, dtype=np.float32)


def join(images: Sequence[Mapping[str, Embedding]], areas: Mapping[str, NDArray[np.bool_]], seed: int = 0) -> dict[str, Joined]:
    """Join embeddings of the same cubes; centre and spread are those of a sample of the areas (y, x), the same for all cubes."""
    centres, spreads = [], []
    for embeddings in images:
        draws = np.random.default_rng(seed)
        sample = np.concatenate([_sample(embeddings[name], area, draws) for name, area in areas.items()])
        centres.append(sample.mean(axis=0))
        spreads.append(max(float(np.sqrt(sample.var(axis=0).sum())), 1e-12))
    return {name: Joined([embeddings[name] for embeddings in images], centres, spreads) for name in areas}


def _sample(embedding: Embedding, area: NDArray[np.bool_], draws: np.random.Generator) -> NDArray[np.float64]:
    inside = np.flatnonzero(area)
    chosen = np.zeros(area.size, dtype=bool)
    chosen[draws.choice(inside, min(_SAMPLE, inside.size), replace=False)] = True
    values = np.asarray(embedding[chosen.reshape(area.shape)], dtype=np.float64)
    return values[np.isfinite(values).all(axis=1)]
