"""Plain convolutional networks as the literature has them, to be compared with: over bands, over pixels, over both.

Independent implementations from the papers' descriptions, trained like everything here (AdamW, warm-up and half a cosine, flips and quarter
turns); no figure of those papers is claimed.

Shapes: n windows, c channels (bands or components), w × w pixels.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_hsi_ssl.config import AugmentConfig, TrainerConfig
from napari_hsi_ssl.learning.augment import Augmenter
from napari_hsi_ssl.learning.data import PixelWindows, Scale, order
from napari_hsi_ssl.learning.loop import Share

_TURNS_ALONE: Final = AugmentConfig(gain=0.0, offset=0.0, noise=0.0, drop=0.0, cutout=0.0)


class SpectrumNet(nn.Module):
    """1-D convolution over the bands of one pixel, pooling, one hidden layer (Hu et al. 2015, doi:10.1155/2015/258619).

    Parameters
    ----------
    channels, classes : int
    """

    window = 1

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        length = max(1, -(-channels // 9))
        left = channels - length + 1
        pool = max(1, -(-left // 40))
        self.filters = nn.Conv1d(1, 20, length)
        self.pool = nn.MaxPool1d(pool)
        self.hidden = nn.Linear(20 * (left // pool), 100)
        self.classify = nn.Linear(100, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, 1, 1) → logits (n, classes)."""
        maps = self.pool(torch.tanh(self.filters(x.flatten(1).unsqueeze(1))))  # (n, 20, ⌊(c − length + 1) / pool⌋)
        said: Tensor = self.classify(torch.tanh(self.hidden(maps.flatten(1))))
        return said


class PlaneNet(nn.Module):
    """Two 2-D convolutions without padding over components, one hidden layer (Makantasis et al. 2015, doi:10.1109/IGARSS.2015.7326945).

    Parameters
    ----------
    channels, classes : int
    """

    window = 5

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 3 * channels, 3)
        self.second = nn.Conv2d(3 * channels, 9 * channels, 3)
        self.hidden = nn.Linear(9 * channels, 6 * channels)
        self.classify = nn.Linear(6 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, 5, 5) → logits (n, classes)."""
        maps = functional.relu(self.second(functional.relu(self.first(x))))  # (n, 9 c, 1, 1)
        said: Tensor = self.classify(functional.relu(self.hidden(maps.flatten(1))))
        return said


class VolumeNet(nn.Module):
    """Six 3-D convolutions, every other one of which shortens the spectral axis, and one layer (Ben Hamida et al. 2018, doi:10.1109/TGRS.2018.2818945).

    Parameters
    ----------
    channels, classes : int
    """

    window = 5

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv3d(1, 20, 3, padding=(1, 0, 0)),
                nn.Conv3d(20, 20, (3, 1, 1), (2, 1, 1), padding=(1, 0, 0)),
                nn.Conv3d(20, 35, 3, padding=(1, 0, 0)),
                nn.Conv3d(35, 35, (3, 1, 1), (2, 1, 1), padding=(1, 0, 0)),
                nn.Conv3d(35, 35, (3, 1, 1), padding=(1, 0, 0)),
                nn.Conv3d(35, 35, (2, 1, 1), (2, 1, 1), padding=(1, 0, 0)),
            ]
        )
        positions = channels
        for layer in self.layers:
            conv = layer if isinstance(layer, nn.Conv3d) else nn.Conv3d(1, 1, 1)
            positions = (positions + 2 - conv.kernel_size[0]) // conv.stride[0] + 1
        self.classify = nn.Linear(35 * positions, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, 5, 5) → logits (n, classes)."""
        volume = x.unsqueeze(1)  # (n, 1, c, 5, 5)
        for layer in self.layers:
            volume = functional.relu(layer(volume))
        said: Tensor = self.classify(volume.flatten(1))
        return said


class PlainTraining:
    """Cross-entropy on windows around labelled pixels.

    Parameters
    ----------
    model : module
        (n, c, w, w) → logits (n, classes).
    training : PixelWindows
    scale : Scale
        From stored values to network input.
    config : TrainerConfig
    """

    def __init__(self, model: nn.Module, training: PixelWindows, scale: Scale, config: TrainerConfig) -> None:
        self.model, self._training, self._seed = model, training, config.seed
        self.windows = len(training)
        self.batch = min(config.batch_size, self.windows)
        self.steps_per_epoch = self.windows // self.batch
        window = int(training.windows(np.zeros(1, dtype=np.intp)).shape[1])
        self._augment = Augmenter(_TURNS_ALONE, scale, np.ones(scale.gain.numel()), window, config.seed)

    def loss(self, model: Any, step: int, share: Share) -> Tensor:  # noqa: ANN401 - possibly wrapped by Fabric
        """Return the mean cross-entropy of this device's rows."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = order(self._seed, epoch, self.windows)[place * self.batch : (place + 1) * self.batch][share.rows]
        view = partial(self._augment, step=step, view=0, batch=self.batch, rows=share.rows)
        x = view(self._training.tensor(rows, share.device)).permute(0, 3, 1, 2)
        return functional.cross_entropy(model(x), torch.from_numpy(self._training.labels[rows]).to(share.device))

    def judge(self, _epoch: int) -> dict[str, Any]:
        """Return nothing: it is judged once, when it is trained."""
        return {}


def predict_windows(model: nn.Module, windows: PixelWindows, scale: Scale) -> NDArray[np.int64]:
    """Return the class (n,), 0 … classes − 1, that a network gives each window; of several exits the deepest is asked."""
    some = next(model.parameters())
    found = np.empty(len(windows), dtype=np.int64)
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(windows)), -(-len(windows) // 256)):
            said = model(scale(windows.tensor(rows, some.device)).permute(0, 3, 1, 2).to(some.dtype))
            logits = said[-1] if isinstance(said, list) else said
            found[rows] = logits.argmax(1).cpu().numpy()
    return found
