"""The multi-exit spectral-spatial network that teaches itself through its own exits.

An independent implementation of the idea of self-distillation for hyperspectral images (SDHSI-Net, arXiv 2601.07416; Zhang et al.
2019, arXiv 1905.08094): a 3-D convolution stem over (band, y, x), a 2-D residual trunk, an exit after each of its stages. No figure
of those papers is claimed.

Shapes: n windows, c channels (components or bands), h × w pixels, s positions along the spectral axis.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.learning.encoder import Pool, Trunk
from napari_hsi_ssl.learning.inlets import Bands, InletBank, Views, entered

_FILTERS = 8
_POSITIONS = 24
"""Positions left along the spectral axis at most, whatever the number of bands."""


class SpectralStem(nn.Module):
    """3-D convolutions that see a few neighbouring channels and pixels at a time.

    Parameters
    ----------
    channels : int
        Channels of the input; many are strided over.
    width : int
        Feature maps out.
    stride : int
        In space.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        step = -(-channels // _POSITIONS)
        depth = 2 * step + 5  # windows of neighbouring positions overlap
        self.filters = nn.Conv3d(1, _FILTERS, (depth, 3, 3), (step, 1, 1), padding=(depth // 2, 1, 1))
        positions = (channels - 1) // step + 1
        self.mix = nn.Conv2d(_FILTERS * positions, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, width, ⌈h/stride⌉, ⌈w/stride⌉)."""
        volume = functional.relu(self.filters(x.unsqueeze(1)))  # (n, filters, s, h, w)
        mixed: Tensor = self.mix(volume.flatten(1, 2))  # (n, filters · s, h, w) → (n, width, h', w')
        return mixed


class Exit(nn.Module):
    """Centre pixel beside window mean of one stage → a feature of common length → class scores."""

    def __init__(self, width: int, dim: int, classes: int) -> None:
        super().__init__()
        self.pool = Pool((width,), "centre")
        self.feature = nn.Linear(self.pool.dim, dim)
        self.classify = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, width, h, w) → feature (n, dim), logits (n, classes)."""
        feature = self.feature(self.pool([x]))
        return feature, self.classify(functional.relu(feature))


class DistilNetwork(nn.Module):
    """3-D stem, 2-D trunk, and an exit after each stage.

    Parameters
    ----------
    channels : int
        Components or bands of the input.
    config : TrunkConfig
        Of the trunk; one exit a width.
    classes : int
    inlets : InletBank, optional
        Where the input is learned too.
    """

    def __init__(self, channels: int, config: TrunkConfig, classes: int, inlets: InletBank | None = None) -> None:
        super().__init__()
        self.inlets = inlets
        self.spectral = SpectralStem(channels, config.widths[0], config.stem_stride)
        self.trunk = Trunk(channels, config)
        self.dim = config.widths[-1]
        self.exits = nn.ModuleList(Exit(width, self.dim, classes) for width in config.widths)

    def enter(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, widths[0], h', w'), what the first stage of the trunk is given: both stems together."""
        entered: Tensor = self.trunk.stem(x) + self.spectral(x)
        return entered

    def forward(self, x: Tensor | Bands, features: bool = False, views: Views | None = None) -> Any:  # noqa: ANN401 - what it is depends on ``features``
        """(n, channels, h, w), or bands of which ``views`` makes that → logits (n, classes) of every exit, shallow to deep.

        With ``features``, a pair: features (n, dim) of every exit, and the logits.
        """
        x = entered(self.inlets, x, views)
        maps = self.trunk(x, self.spectral(x))
        said = [leave(stage) for leave, stage in zip(self.exits, maps, strict=True)]
        logits = [each for _, each in said]
        return ([feature for feature, _ in said], logits) if features else logits

    def embed(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → feature (n, dim) of the deepest exit."""
        deepest: Tensor = self.forward(x, features=True)[0][-1]
        return deepest
