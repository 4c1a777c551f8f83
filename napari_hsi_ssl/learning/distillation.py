"""Training of the multi-exit network on labelled pixels: every exit learns the labels, and the exits learn from each other or from their past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_hsi_ssl.config import DistilConfig
from napari_hsi_ssl.errors import LabelError, RunError
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.balance import balanced_order, class_weights
from napari_hsi_ssl.learning.cameras import PixelsByDomain
from napari_hsi_ssl.learning.data import PixelWindows, Scale, order
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.inlets import stored_scores, through
from napari_hsi_ssl.learning.loop import Share, total_steps
from napari_hsi_ssl.learning.losses import exits_cross_entropy, feature_consistency, past_targets, ramp, soft_targets
from napari_hsi_ssl.metrics.separability import separability

_STEPS_A_PASS = 5
_LEAST_BATCH = 8
_JUDGEMENTS = 20
_JUDGED = 1024
_MEASURED = 20_000
"""Pixels whose features are compared at the end, at most."""


class Distillation:
    """Cross-entropy on every exit, soft targets and feature consistency between them.

    With direction "past" the deepest exit's output of every window is remembered until the window comes again, and is part of the
    resume state.

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
        # Nothing here is compared across windows, so a batch may be small; with few labels, large ones would leave too few steps to learn in.
        few = max(_LEAST_BATCH, self.windows // _STEPS_A_PASS, ranks)
        self.batch = min(config.batch_size, min(self.windows, few) // ranks * ranks)
        if self.batch == 0:
            raise RunError(f"there are {self.windows} labelled pixels for {ranks} devices; label more or use one device.")
        self.steps_per_epoch = self.windows // self.batch
        self._augment = Augmenter(config.augment, scale, spread, config.window, config.seed)
        self._classes = int(model.exits[-1].classify.out_features)  # type: ignore[union-attr, arg-type]
        weights = class_weights(training.labels, self._classes)
        self._weights = torch.from_numpy(weights).to(torch.get_default_dtype()) if config.balance == "weights" else None
        self._past = torch.full((self.windows, self._classes), torch.nan) if config.direction == "past" else None
        if config.freeze:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name.startswith(("exits.", "inlets.")))

    def loss(self, model: Any, step: int, share: Share) -> Tensor:  # noqa: ANN401 - possibly wrapped by Fabric
        """Return the weighted sum of all losses over this device's windows."""
        config = self._config
        epoch, place = divmod(step, self.steps_per_epoch)
        batch = self._order(epoch)[place * self.batch : (place + 1) * self.batch]
        rows = batch[share.rows]
        view = partial(self._view, step=step, share=share)
        target = torch.from_numpy(self._training.labels[rows]).to(share.device)
        features, logits = through(model, self._training.tensor(rows, share.device), view, features=True)
        weights = None if self._weights is None else self._weights.to(share.device)
        loss = exits_cross_entropy(logits, target, config.label_smoothing, weights)
        if config.direction == "none":
            return loss
        if config.direction == "past":
            taught = past_targets(logits, self._replaced(batch, share, logits[-1]), config.temperature)
        else:
            taught = soft_targets(logits, config.temperature, config.direction)
        rise = ramp(step / total_steps(self, config), config.ramp_up)
        return loss + rise * (config.distil_weight * taught + config.feature_weight * feature_consistency(features))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._config.balance == "sampling":
            return balanced_order(self._config.seed, epoch, self._training.labels)
        return order(self._config.seed, epoch, self.windows)

    def _replaced(self, batch: NDArray[np.int64], share: Share, logits: Tensor) -> Tensor:
        """Return what was last said of this device's windows (n, c), and keep in its place what is said now: of the whole batch, on every device."""
        assert self._past is not None  # direction "past"
        said = self._past[torch.from_numpy(batch[share.rows])].to(logits)
        now = logits.detach() if share.gather is None else share.gather(logits.detach())
        self._past[torch.from_numpy(batch)] = now.to("cpu", self._past.dtype)
        return said

    def memory(self) -> dict[str, Tensor]:
        """Return what must be saved beside weights: with direction "past" what was last said of every window (n, c), else nothing."""
        return {} if self._past is None else {"past": self._past}

    def remember(self, memory: dict[str, Tensor]) -> None:
        """Take up a saved memory; a branch of a run with another direction has none, and begins without a past.

        Raises
        ------
        RunError
            When it is of other labels.
        """
        saved = memory.get("past")
        if self._past is None or saved is None:
            return
        if saved.shape != self._past.shape:
            found, expected = (f"{count} pixels and {classes} classes" for count, classes in (saved.shape, self._past.shape))
            raise RunError(f"the saved state holds earlier outputs of {found}, expected {expected}; put the run's own checkpoints back.")
        self._past = saved

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
        hits = np.zeros(len(self.model.exits))
        for part, _, logits in self._asked(windows, chosen):
            hits += [float((each.argmax(1).cpu().numpy() == windows.labels[part]).sum()) for each in logits]
        return [float(share) for share in hits / chosen.size]

    def representation(self) -> dict[str, Any]:
        """Return how tight the classes lie in the deepest exit's features and how far apart (`metrics.separability`).

        On validation pixels where there are any, else on those that were trained on: ``pixels`` says which, ``count`` how many (at most
        20,000, drawn by the seed).
        """
        windows = self._judges
        rows = np.random.default_rng(self._config.seed).permutation(len(windows))[:_MEASURED]
        features = np.concatenate([each[-1].float().cpu().numpy() for _, each, _ in self._asked(windows, rows)])
        held_out = windows is not self._training
        measured: dict[str, Any] = {"pixels": "validation" if held_out else "training", "count": rows.size}
        if np.unique(windows.labels[rows]).size < 2:
            return measured  # validation pixels of one class have nothing to be apart from
        return {**measured, **asdict(separability(features, windows.labels[rows] + 1))}

    def _asked(self, windows: PixelWindows | PixelsByDomain, rows: NDArray[np.integer]) -> Iterator[tuple[NDArray[np.integer], list[Tensor], list[Tensor]]]:
        """Yield rows, and what every exit makes of them: features (n, d) and logits (n, c)."""
        some = next(self.model.parameters())
        for part in np.array_split(rows, -(-rows.size // 256)):
            with torch.no_grad():
                x = self._scale(stored_scores(self.model, windows.tensor(part, some.device))).permute(0, 3, 1, 2).to(some.dtype)
                features, logits = self.model(x, features=True)
            yield part, features, logits
