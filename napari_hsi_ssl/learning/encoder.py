"""The universal trunk, and the model that SimCLR trains: narrow, residual, without batch or spatial statistics.

Every pixel is normalised over its own channels alone (Ba et al. 2016, arXiv 1607.06450, per position as in Liu et al. 2022,
arXiv 2201.03545). So what a network says of a window depends neither on the rest of the batch nor on the number of devices,
and a trunk whose strides are 1 can be run over a whole image at once.

Shapes: n windows, c channels, h × w pixels. Tensors are channels-last in memory.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.learning.inlets import Bands, InletBank, Views, entered


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of every single pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, c, h, w)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (n, h, w, c) is how channels-last lies in memory


class Block(nn.Module):
    """Residual block with the normalisation in front (He et al. 2016, arXiv 1603.05027)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width_in)
        self.first = nn.Conv2d(width_in, width, 3, stride, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        same = width_in == width and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(width_in, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) → (n, c, ⌈h/stride⌉, ⌈w/stride⌉)."""
        y = self.first(functional.relu(self.norm(x)))
        y = self.second(functional.relu(y))
        return torch.add(self.skip(x), y)


class Trunk(nn.Module):
    """Convolution stem and residual stages, shared by every objective.

    Parameters
    ----------
    channels : int
        Components or bands of the input.
    config : TrunkConfig
    """

    def __init__(self, channels: int, config: TrunkConfig) -> None:
        super().__init__()
        self.widths = config.widths
        self.stem = nn.Conv2d(channels, config.widths[0], 3, config.stem_stride, padding=1)
        self.stages = nn.ModuleList()
        for number, (before, width) in enumerate(pairwise((config.widths[0], *config.widths))):
            stride = config.stride if number else 1
            rest = [Block(width, width, 1) for _ in range(config.blocks - 1)]
            self.stages.append(nn.Sequential(Block(before, width, stride), *rest))

    def forward(self, x: Tensor, added: Tensor | None = None) -> list[Tensor]:
        """(n, channels, h, w) → one feature map (n, width, h', w') a stage.

        ``added`` (n, widths[0], h', w') joins what the stem gives.
        """
        x = self.stem(x)
        if added is not None:
            x = x + added
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Pool(nn.Module):
    """Turns feature maps into one vector a window.

    Parameters
    ----------
    widths : sequence of int
        Channels of the feature maps.
    kind : {"mean", "centre"}
        The mean of the last map, or centre pixel and mean of every map.
    """

    def __init__(self, widths: tuple[int, ...], kind: str) -> None:
        super().__init__()
        self.kind = kind
        used = widths if kind == "centre" else widths[-1:]
        self.norms = nn.ModuleList(ChannelNorm(width) for width in used)
        self.dim = 2 * sum(used) if kind == "centre" else used[-1]

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[(n, c_i, h_i, w_i), …] → (n, dim), float32 or wider."""
        parts = []
        for norm, features in zip(self.norms, maps[-len(self.norms) :], strict=True):
            active = functional.relu(norm(features))
            if self.kind == "centre":
                parts.append(centre(active))
            parts.append(active.mean((2, 3)))
        joined = torch.cat(parts, dim=1)
        return joined if joined.dtype == torch.float64 else joined.float()


def centre(x: Tensor) -> Tensor:
    """(n, c, h, w) → (n, c), the pixel a window stands for: row h // 2, column w // 2."""
    return x[:, :, x.shape[2] // 2, x.shape[3] // 2]


class SimCLRModel(nn.Module):
    """Trunk, pooling and projection head (Chen et al. 2020, arXiv 2002.05709).

    Parameters
    ----------
    channels : int
        Components of the input.
    config : TrunkConfig
    projection : int
        Length of z.
    inlets : InletBank, optional
        Where the input is learned too.
    """

    def __init__(self, channels: int, config: TrunkConfig, projection: int, inlets: InletBank | None = None) -> None:
        super().__init__()
        self.inlets = inlets
        self.trunk = Trunk(channels, config)
        self.pool = Pool(config.widths, config.pool)
        self.dim = self.pool.dim
        self.projection = nn.Sequential(nn.Linear(self.dim, self.dim), nn.ReLU(), nn.Linear(self.dim, projection))

    def embed(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → features (n, dim), before the projection head."""
        features: Tensor = self.pool(self.trunk(x))
        return features

    def forward(self, x: Tensor | Bands, views: Views | None = None) -> Tensor:
        """(n, channels, h, w), or bands of which ``views`` makes that once they are scores → z (n, projection), what the contrast is computed on."""
        z: Tensor = self.projection(self.embed(entered(self.inlets, x, views)))
        return z


def channels_last(model: nn.Module) -> None:
    """Lay the weights of the 2-D convolutions out as their inputs lie in memory: half the time of a step on CPUs."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):  # those of 1 × 1 lie so already
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def parameters(model: nn.Module) -> int:
    """Return how many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model: nn.Module, channels: int, window: int) -> int:
    """Return the multiply-adds of one window's way through a model (forward, convolutions and matrix products)."""
    example = next(model.parameters())
    x = torch.zeros(1, channels, window, window, dtype=example.dtype, device=example.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(x)
    return int(counter.get_total_flops()) // 2
