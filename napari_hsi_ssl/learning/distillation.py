"""Training of the multi-exit network on labelled pixels: every exit learns the labels, and the exits learn from each other."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.config import DistilConfig
from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.cameras import PixelsByDomain
from napari_hsi_ssl.learning.data import PixelWindows, Scale, order
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.inlets import stored_scores, through
from napari_hsi_ssl.learning.loop import Share
from napari_hsi_ssl.learning.losses import exits_cross_entropy, feature_consistency, soft_targets

_JUDGEMENTS = 20
_JUDGED = 1024


class Distillation:
    """Cross-entropy on every exit, soft targets and feature consistency between them.

    Parameters
    ----------
    model : DistilNetwork
    training : PixelWindows or PixelsByDomain
    validation : PixelWindows, PixelsByDomain or None
        Judges the exits on the way; without it the training pixels do.
    scale : Scale
    spread : float array (k,)
        Standard deviation of every channel of the network input.
    config : DistilConfig
    ranks : int
        Devices, of which each takes the same number of windows.

    Raises
    ------
    LabelError
        When the training pixels are of one class.
    RunError
        When there are fewer of them than devices.
    """

    def __init__(
        self,
        model: DistilNetwork,
        training: PixelWindows | PixelsByDomain,
        validation: PixelWindows | PixelsByDomain | None,
        scale: Scale,
        spread: NDArray[np.floating],
        config: DistilConfig,
        ranks: int = 1,
    ) -> None:
        self.model, self._training, self._config, self._scale = model, training, config, scale
        self._judges = validation if validation is not None and len(validation) else training
        self.windows = len(training)
        if np.unique(training.labels).size < 2:
            raise LabelError(f"the training labels hold {np.unique(training.labels).size} class, expected at least two; label another class.")
        # Labels may be fewer than a batch, for nothing here is compared across windows.
        self.batch = min(config.batch_size, self.windows // ranks * ranks)
        if self.batch == 0:
            raise RunError(f"there are {self.windows} labelled pixels for {ranks} devices; label more or use one device.")
        self.steps_per_epoch = self.windows // self.batch
        self._augment = Augmenter(config.augment, scale, spread, config.window, config.seed)
        if config.freeze:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(("exits.", "inlets.")))

    def loss(self, model: Any, step: int, share: Share) -> Tensor:  # noqa: ANN401 - possibly wrapped by Fabric
        """Return the weighted sum of all losses over this device's windows."""
        config = self._config
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = order(config.seed, epoch, self.windows)[place * self.batch : (place + 1) * self.batch][share.rows]
        view = partial(self._view, step=step, share=share)
        target = torch.from_numpy(self._training.labels[rows]).to(share.device)
        features, logits = through(model, self._training.tensor(rows, share.device), view, features=True)
        loss = exits_cross_entropy(logits, target, config.label_smoothing)
        if config.direction == "none":
            return loss
        taught = soft_targets(logits, config.temperature, config.direction)
        return loss + config.distil_weight * taught + config.feature_weight * feature_consistency(features)

    def _view(self, scores: Tensor, step: int, share: Share) -> Tensor:
        return self._augment(scores, step, 0, self.batch, share.rows).permute(0, 3, 1, 2)

    def judge(self, epoch: int) -> dict[str, Any]:
        """Return the accuracy of every exit, shallow to deep, every few epochs."""
        if epoch % max(1, self._config.epochs // _JUDGEMENTS) and epoch != self._config.epochs:
            return {}
        rows = np.random.default_rng(self._config.seed).permutation(len(self._judges))[:_JUDGED]
        return {"exits": self.accuracies(self._judges, rows)}

    def accuracies(self, windows: PixelWindows | PixelsByDomain, rows: NDArray[np.integer] | None = None) -> list[float]:
        """Return the overall accuracy of every exit on the given windows, all by default."""
        chosen = np.arange(len(windows)) if rows is None else rows
        some = next(self.model.parameters())
        hits = np.zeros(len(self.model.exits))
        with torch.no_grad():
            for part in np.array_split(chosen, -(-chosen.size // 256)):
                x = self._scale(stored_scores(self.model, windows.tensor(part, some.device))).permute(0, 3, 1, 2).to(some.dtype)
                target = torch.from_numpy(windows.labels[part]).to(some.device)
                hits += [float((logits.argmax(1) == target).sum()) for logits in self.model(x)]
        return [float(share) for share in hits / chosen.size]
