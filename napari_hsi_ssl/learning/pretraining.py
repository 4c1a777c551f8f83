"""SimCLR on the patches of a project: the poster's objective (Chen et al. 2020, arXiv 2002.05709)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.config import PretrainConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.explore.band_space import BandSpace
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.cameras import PatchesByDomain
from napari_hsi_ssl.learning.data import PatchStore, Scale, neighbours, order
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.learning.inlets import Bands, stored_scores, through
from napari_hsi_ssl.learning.judging import Judge
from napari_hsi_ssl.learning.loop import Share
from napari_hsi_ssl.learning.losses import nt_xent
from napari_hsi_ssl.patches.index import TRAIN


class Pretraining:
    """Two views of a window attract each other, all other windows of the batch repel.

    Parameters
    ----------
    model : SimCLRModel
    store : PatchStore or PatchesByDomain
        All patches; those of the training part are learned from, the others judge the features on the way.
    config : PretrainConfig
    picture : Path, optional
        Where the picture of the embedding is written, every time it is judged.
    space : BandSpace, optional
        For views in band space; its domains are those of the patch index.

    Raises
    ------
    RunError
        When there are fewer training patches than a batch takes.
    """

    def __init__(
        self,
        model: SimCLRModel,
        store: PatchStore | PatchesByDomain,
        config: PretrainConfig,
        picture: Path | None = None,
        space: BandSpace | None = None,
    ) -> None:
        self.model, self._store, self._config = model, store, config
        self.batch = config.batch_size
        self._training = np.flatnonzero(store.index.split == TRAIN)
        self.windows = self._training.size
        self.steps_per_epoch = self.windows // self.batch
        if self.steps_per_epoch == 0:
            raise RunError(f"there are {self.windows} training patches, but batch_size is {self.batch}; cut more patches or lower the batch size.")
        # What goes back into a learned inlet keeps the type of the weights.
        self._scale = Scale(store.card, torch.get_default_dtype())
        gain = np.asarray(store.card["input"]["gain"])  # stored scores have unit spread
        self._augment = Augmenter(config.augment, self._scale, gain, store.index.size, config.seed, space)
        self._judge = Judge(store, config, self._augment, picture)
        self._order: tuple[int, NDArray[np.int64]] = (-1, self._training)
        self._both: Tensor | None = None

    def views(self, step: int, share: Share) -> Tensor:
        """Return both views of this device's windows as network input (2n, k, w, w), all first views before all second ones."""
        return self._views(stored_scores(self.model, self._windows(step, share)), step, share)

    def _windows(self, step: int, share: Share) -> Tensor | Bands:
        """Return this device's windows (n), or, where positives are neighbours, them and after them their neighbours (2n)."""
        config = self._config
        rows = self._rows(step)[share.rows]
        if not config.neighbour:
            return self._store.tensor(rows, share.device)
        shift = neighbours(config.seed, step, self.batch, config.neighbour)[share.rows]
        return self._store.tensor(np.tile(rows, 2), share.device, np.concatenate((np.zeros_like(shift), shift)))

    def _views(self, scores: Tensor, step: int, share: Share) -> Tensor:
        domains = self._store.index.domain[self._rows(step)[share.rows]]
        pair = scores.chunk(2) if self._config.neighbour else (scores, scores)
        if scores.requires_grad:  # by an inlet that learns
            return torch.cat([self._augment(x, step, number, self.batch, share.rows, domains) for number, x in enumerate(pair)]).permute(0, 3, 1, 2)
        shape = (2, *pair[0].shape)
        if self._both is None or self._both.shape != shape or self._both.device != scores.device:
            self._both = torch.empty(shape, dtype=self._scale.gain.dtype, device=scores.device)
        for number, x in enumerate(pair):
            self._augment(x, step, number, self.batch, share.rows, domains, out=self._both[number])
        return self._both.flatten(0, 1).permute(0, 3, 1, 2)

    def loss(self, model: Any, step: int, share: Share) -> Tensor:  # noqa: ANN401 - possibly wrapped by Fabric
        """Return NT-Xent of this device's anchors against the whole batch."""
        z1, z2 = through(model, self._windows(step, share), partial(self._views, step=step, share=share)).chunk(2)  # 2 × (n, d)
        return nt_xent(z1, z2, self._config.temperature, share.gather, share.rank)

    def _rows(self, step: int) -> NDArray[np.int64]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self._training[order(self._config.seed, epoch, self.windows)])
        return self._order[1][place * self.batch : (place + 1) * self.batch]

    def judge(self, epoch: int) -> dict[str, Any]:
        """Return how good the features of held-out patches are, as `Judge` says."""
        return self._judge(self.model, epoch)
