"""How a backbone is judged while it is trained: on held-out patches, with nothing of it going back into the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.config import PretrainConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.cameras import PatchesByDomain
from napari_hsi_ssl.learning.data import PatchStore, neighbours
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.learning.inlets import stored_scores
from napari_hsi_ssl.metrics.neighbours import knn_vote
from napari_hsi_ssl.metrics.representation import alignment, plane, uniformity
from napari_hsi_ssl.patches.index import TEST, TRAIN
from napari_hsi_ssl.patches.snapshot import Snapshot

_JUDGEMENTS: Final = 20
_JUDGED: Final = 512
_NEIGHBOURS: Final = 20
_PART: Final = 128


class Judge:
    """Figures of a backbone on patches that it does not learn from.

    Parameters
    ----------
    store : PatchStore or PatchesByDomain
    config : PretrainConfig
    augment : Augmenter
        Makes the two views whose alignment is measured.
    picture : Path, optional
        Where the picture of the embedding is written.
    """

    def __init__(self, store: PatchStore | PatchesByDomain, config: PretrainConfig, augment: Augmenter, picture: Path | None = None) -> None:
        self._store, self._config, self._augment, self._picture = store, config, augment, picture
        draws = np.random.default_rng(config.seed)
        split = store.index.split
        self._train, self._held_out = (draws.permutation(np.flatnonzero(split == part))[:_JUDGED] for part in (TRAIN, TEST))

    def __call__(self, model: SimCLRModel, epoch: int) -> dict[str, Any]:
        """Judge after an epoch, counted from 1, every few of them.

        Returns
        -------
        dict
            ``alignment`` and ``uniformity`` of z, what the loss is computed on; ``knn_accuracy`` on domain labels, of the features,
            where the held-out patches are of several domains. Empty where it is no epoch to judge after, or nothing is held out.
        """
        if (epoch % max(1, self._config.epochs // _JUDGEMENTS) and epoch != self._config.epochs) or self._held_out.size < 2:
            return {}
        index = self._store.index
        features = self._embedded(model, self._held_out)
        first, second = self._views(model)
        report = {"alignment": alignment(first, second), "uniformity": (uniformity(first) + uniformity(second)) / 2}
        if self._picture is not None:
            self._draw(self._picture, features, epoch)
        truth = index.domain[self._held_out]
        if np.unique(truth).size > 1:
            found, _ = knn_vote(self._embedded(model, self._train), index.domain[self._train], features, min(_NEIGHBOURS, self._train.size))
            report["knn_accuracy"] = float((found == truth).mean())
        return report

    def _draw(self, path: Path, features: NDArray[np.float32], epoch: int) -> None:
        index = self._store.index.subset(self._held_out)
        try:
            before = Snapshot.load(path)
        except RunError:  # a damaged picture is drawn anew
            before = None
        places, explained = plane(features, before.places if before is not None and before.fits(index) else None)
        Snapshot.of(index, places, explained, epoch).save(path)

    def _embedded(self, model: SimCLRModel, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.concatenate([_out(model.embed(_into(self._augment.scale(self._windows(model, rows[part])), model))) for part in _parts(rows)])

    def _views(self, model: SimCLRModel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return z (n, d) of two views of the held-out patches; the draws are those of step 0 at every epoch, so that epochs compare."""
        rows, config = self._held_out, self._config
        shift = neighbours(config.seed, 0, rows.size, config.neighbour) if config.neighbour else np.zeros((rows.size, 2), dtype=np.int64)
        views = []
        with torch.no_grad():
            for view, moved in enumerate((None, shift)):
                parts = []
                for part in _parts(rows):
                    windows = self._windows(model, rows[part], None if moved is None else moved[part])
                    parts.append(_out(model(_into(self._augment(windows, 0, view, rows.size, part, self._store.index.domain[rows[part]]), model))))
                views.append(np.concatenate(parts))
        return views[0], views[1]

    def _windows(self, model: SimCLRModel, rows: NDArray[np.int64], shift: NDArray[np.int64] | None = None) -> Tensor:
        return stored_scores(model, self._store.tensor(rows, next(model.parameters()).device, shift))


def _parts(rows: NDArray[np.int64]) -> list[slice]:
    return [slice(start, start + _PART) for start in range(0, rows.size, _PART)]


def _into(x: Tensor, model: SimCLRModel) -> Tensor:
    """(n, w, w, k) → (n, k, w, w) in the type of the model's weights."""
    return x.permute(0, 3, 1, 2).to(next(model.parameters()).dtype)


def _out(x: Tensor) -> NDArray[np.float32]:
    result: NDArray[np.float32] = x.float().cpu().numpy()
    return result
