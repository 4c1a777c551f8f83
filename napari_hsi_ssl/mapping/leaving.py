"""Early exit by confidence: of every pixel the first exit that is sure decides, and deeper ones are not computed.

After BranchyNet (Teerapittayanon et al. 2016, arXiv 1709.01686), with the largest probability in place of the entropy as Huang et al. (2018,
arXiv 1703.09844) have it. The deepest exit decides where none is sure. Windows computed one by one are dropped
as they leave. Where whole tiles are computed at once, neighbouring pixels share what is computed: the next stage then sees the smallest
rectangle that holds all undecided pixels, which saves little unless they lie together. The dense way is 40 to 120 times cheaper to begin
with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import gather
from napari_hsi_ssl.learning.distil import DistilNetwork, Exit
from napari_hsi_ssl.mapping.dense import Geometry, StageGrid, dense_pool
from napari_hsi_ssl.mapping.embed import Asker, Method, Tally, best_way
from napari_hsi_ssl.mapping.frames import Part

_CHECKED: Final = 8
"""Of so many tiles one is also taken to the deepest exit, to see whether it says the same."""
_BATCH: Final = 256


class Leaver:
    """Classifies tiles by the first exit that is sure, and counts what that saved.

    Attributes
    ----------
    asker : Asker
        Divides a cube into tiles, and asks the deepest exit for comparison.
    tallies : list of Tally
        Of each tile with a used pixel: ``left`` (pixels by exit), ``spent`` and ``whole`` (multiply-adds), ``compared`` and ``same`` (pixels).

    Parameters
    ----------
    model : DistilNetwork
        In evaluation mode; it decides the device.
    card : dict
    threshold : float
        In (0, 1].
    method : {"dense", "windows"}, optional
        `best_way` by default; windows where the trunk has strides.
    memory : int, optional
        As `Asker` has it.
    """

    def __init__(self, model: DistilNetwork, card: Card, threshold: float, *, method: Method | None = None, memory: int | None = None) -> None:
        config = TrunkConfig.parse(card["architecture"]["trunk"], "the model's card")
        way: Method = "windows" if Geometry.of(config).strides[-1] > 1 else method or best_way(card)
        self.asker = Asker(model, card, method=way, leaves=(len(model.exits) - 1,), memory=memory)
        self.tallies: list[Tally] = []
        self._model, self._threshold, self._window = model, threshold, int(card["window"])
        self._classes = len(card["classes"]["numbers"])
        self._reach = 2 * config.blocks  # pixels that a stage sees beyond each of its own
        self._device = next(model.parameters()).device
        self._trunk_cost, self._exit_cost = stage_costs(model, self._window)
        self._spent = self._whole = 0.0

    def values(self, part: Part) -> NDArray[np.float32]:
        """Return the class probabilities (n, c) of a tile's used pixels, row by row, by the first exit of each that is sure."""
        if not part.used.any():
            return np.empty((0, self._classes), dtype=np.float32)
        self._spent = self._whole = 0.0
        with torch.inference_mode():
            found, depth = self._densely(part) if self.asker.method == "dense" else self._by_windows(part)
        compared = same = 0
        if len(self.tallies) % _CHECKED == 0:
            compared, same = len(found), int((self.asker.values(part).argmax(axis=1) == found.argmax(axis=1)).sum())
        left = np.bincount(depth, minlength=len(self._model.exits)).tolist()
        self.tallies.append({"left": left, "spent": self._spent, "whole": self._whole, "compared": compared, "same": same})
        return found

    def report(self) -> dict[str, Any]:
        """Return what leaving early did.

        Returns
        -------
        dict
            ``threshold``; ``left``: share of the pixels that left at each exit, shallow to deep; ``saved``: share of the multiply-adds of
            the whole network that were not spent; ``saved_by_windows``: the same if every pixel's window is computed by itself;
            ``agreement``: share of ``compared`` pixels that have the deepest exit's class. Fractions, None without a pixel.
        """
        left = np.zeros(len(self._model.exits), dtype=np.int64)
        for tally in self.tallies:
            left += tally["left"]
        spent, whole, compared, same = (sum(tally[name] for tally in self.tallies) for name in ("spent", "whole", "compared", "same"))
        pixels = int(left.sum())
        steps = np.cumsum(np.add(self._trunk_cost, self._exit_cost))
        return {
            "threshold": self._threshold,
            "way": self.asker.method,
            "left": [float(share) for share in left / pixels] if pixels else [],
            "saved": 1 - spent / whole if whole else None,
            "saved_by_windows": float(1 - (left @ steps) / (pixels * steps[-1])) if pixels else None,
            "agreement": same / compared if compared else None,
            "compared": compared,
        }

    def _by_windows(self, part: Part) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        y, x = np.nonzero(part.used)  # the window of a pixel begins there in the tile with its margin
        found, depth = np.empty((y.size, self._classes), dtype=np.float32), np.empty(y.size, dtype=np.int64)
        for start in range(0, y.size, _BATCH):
            rows = np.arange(start, min(y.size, start + _BATCH))
            windows = gather([part.values], np.zeros(rows.size, dtype=np.intp), y[rows], x[rows], self._window)
            features = self._run(self._model.enter, torch.from_numpy(windows).to(self._device).permute(0, 3, 1, 2))
            self._whole += rows.size * float(sum(self._trunk_cost) + sum(self._exit_cost))
            for number, leave in enumerate(self._model.exits):
                features = self._run(self._model.trunk.stages[number], features)
                self._spent += rows.size * float(self._trunk_cost[number] + self._exit_cost[number])
                said = leave(features.float())[1].softmax(-1)
                sure = self._sure(said, number)
                found[rows[sure]], depth[rows[sure]] = said.cpu().numpy()[sure], number
                rows, features = rows[~sure], features[torch.from_numpy(~sure).to(self._device)]
                if not rows.size:
                    break
        return found, depth

    def _densely(self, part: Part) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        (height, width), exits, around = part.used.shape, len(self._model.exits), self._window - 1
        found, depth = np.zeros((height, width, self._classes), dtype=np.float32), np.full((height, width), -1)
        undecided, box = part.used.copy(), np.s_[0:height, 0:width]
        self._whole += sum(self._cost(number, height, width) for number in range(exits))
        # A map begins as far above and left of its first pixel's window as the stages to come see.
        features = _inner(self._run(self._model.enter, torch.from_numpy(part.values).to(self._device).permute(2, 0, 1)[None]), 1)
        for number in range(exits):
            beyond = self._reach * (exits - 1 - number)
            size = cast("tuple[int, int]", undecided[box].shape)
            self._spent += self._cost(number, *size)
            features = _inner(self._run(self._model.trunk.stages[number], features), self._reach)
            leave = cast("Exit", self._model.exits[number])
            pooled = dense_pool(leave.pool, [StageGrid([[features.float()]], beyond, size, 1, self._window)])
            said = leave.classify(leave.feature(pooled).relu()).softmax(-1)
            leaving = undecided[box] & self._sure(said, number)
            found[box][leaving], depth[box][leaving] = said.cpu().numpy()[leaving], number
            undecided[box] &= ~leaving
            if not undecided.any():
                break
            next_box = _around(undecided)
            rows, columns = (slice(new.start - old.start, new.stop - old.start + around + 2 * beyond) for new, old in zip(next_box, box, strict=True))
            features, box = features[:, :, rows, columns], next_box
        return found[part.used], depth[part.used]

    def _run(self, layers: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Run part of the trunk in the precision that `Asker` runs it in; exits decide in single precision."""
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self.asker.precision == "bf16"):
            return layers(x)

    def _sure(self, said: Tensor, number: int) -> NDArray[np.bool_]:
        if number == len(self._model.exits) - 1:
            return np.ones(said.shape[:-1], dtype=np.bool_)
        return np.asarray((said.amax(-1) >= self._threshold).cpu().numpy())

    def _cost(self, number: int, height: int, width: int) -> float:
        """Return the multiply-adds of a stage and its exit for so many pixels computed at once."""
        around = self._window - 1 + 2 * self._reach * (len(self._model.exits) - number)
        return self._trunk_cost[number] / self._window**2 * (height + around) * (width + around) + self._exit_cost[number] * height * width


def stage_costs(model: DistilNetwork, window: int) -> tuple[list[int], list[int]]:
    """Return the multiply-adds of one window in each stage of the trunk (the stems with the first), and in each exit."""
    some = model.trunk.stem.weight
    trunk, exits = [], []
    with torch.no_grad():
        x = torch.zeros(1, model.trunk.stem.in_channels, window, window, dtype=some.dtype, device=some.device)
        for number, leave in enumerate(model.exits):
            with FlopCounterMode(display=False) as counter:
                x = model.trunk.stages[number](x if number else model.enter(x))
            trunk.append(int(counter.get_total_flops()) // 2)
            with FlopCounterMode(display=False) as counter:
                leave(x)
            exits.append(int(counter.get_total_flops()) // 2)
    return trunk, exits


def _inner(x: Tensor, frame: int) -> Tensor:
    """Cut away what the padding of a convolution has reached."""
    return x[:, :, frame:-frame, frame:-frame]


def _around(chosen: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the smallest rectangle that holds all chosen pixels."""
    rows, columns = (np.flatnonzero(chosen.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
