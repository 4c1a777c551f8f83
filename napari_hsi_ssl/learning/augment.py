"""Random views of a batch, computed on the batch's device.

Every draw is a pure function of (seed, step, view) and is made for the batch of all devices; a device takes its own rows. So the
number of devices changes nothing, and a resumed run goes on with the very same views. Drawing noise for every pixel would cost as
much as the network: pixels take theirs from a bank drawn once, each window from a place of its own. Views in band space
(`learning.band_views`) come first, then those of the components.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_hsi_ssl.config import AugmentConfig
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.explore.band_space import BandSpace
from napari_hsi_ssl.learning.band_views import BandViews
from napari_hsi_ssl.learning.data import Scale

_VIEWS: Final = 3
_BANK: Final = 4
"""Names of random streams (`learning.data` has the others)."""
_BANK_PIXELS: Final = 1 << 14


class Augmenter:
    """Makes views of windows (n, w, w, k).

    Parameters
    ----------
    config : AugmentConfig
    scale : Scale
        From stored values to network input.
    spread : float array (k,)
        Standard deviation of every channel of the network input.
    window : int
        w.
    seed : int
    space : BandSpace, optional
        What the channels are made of; needed by the views in band space alone.

    Raises
    ------
    ConfigError
        When a view in band space is asked for without it.
    """

    def __init__(self, config: AugmentConfig, scale: Scale, spread: NDArray[np.floating], window: int, seed: int, space: BandSpace | None = None) -> None:
        if config.band_space and space is None:
            raise ConfigError("augment: light, slope, distortion, band_drop and sensor_noise are views for pretraining on components; set them to 0 here.")
        self.config, self.scale, self.window, self.seed = config, scale, window, seed
        self._bands = BandViews(config, space) if config.band_space and space is not None else None
        self.spread = np.asarray(spread, dtype=np.float64)
        corners = np.arange(window**2).reshape(window, window)
        turns = [np.rot90(corners, quarter)[:, :: 1 - 2 * mirror].ravel() for mirror in (0, 1) for quarter in range(4)]
        self._turns = torch.from_numpy(np.stack(turns))  # (8, w²): where each pixel of a turned window comes from
        self._bank: Tensor | None = None
        self._shifted = bool(scale.offset.any())

    def __call__(
        self, x: Tensor, step: int, view: int, batch: int, rows: slice, domains: NDArray[np.integer] | None = None, out: Tensor | None = None
    ) -> Tensor:
        """Return one view (n, w, w, k) of this device's rows of a batch, as network input; ``x`` is left as it is.

        Parameters
        ----------
        x : Tensor (n, w, w, k)
            Rows ``rows`` of the batch, as stored.
        step, view : int
            Which draws to use.
        batch : int
            Windows on all devices.
        rows : slice
            This device's part of the batch, n long.
        domains : int array (n,), optional
            The domain of each window, as the band space counts them; needed where it has several.
        out : Tensor (n, w, w, k), optional
            Takes the view, where nothing has to flow back to ``x``: memory that is used again costs less than new memory.
        """
        c, k = self.config, self.spread.size
        draws = np.random.default_rng((self.seed, _VIEWS, step, view))
        turn = draws.integers(0, 8, batch)[rows]
        gain = np.exp(c.gain * draws.standard_normal((batch, 1)))[rows]
        offset = (c.offset * draws.standard_normal((batch, k)) * self.spread)[rows]
        kept = (draws.random((batch, k)) >= c.drop)[rows]
        box = draws.random((batch, 3))[rows]
        place = draws.integers(0, _BANK_PIXELS, batch)[rows]
        crop = draws.random((batch, 3))[rows]

        turned = self.turned(x, turn)
        # With a product written into `out` the values are the same, without a copy between.
        y = self.scale(turned) if out is None or self._shifted else torch.mul(turned, self.scale.gain.to(x.device), out=out)
        if self._bands is not None and self._bands.change:
            level, whole = self._bands.factors(draws, batch)
            y = self._bands(y, level[rows], whole[rows], np.zeros(len(y), dtype=np.int64) if domains is None else domains)
        if c.crop:
            y = self._cropped(y, crop)
        y.mul_(_like(y, gain * kept)).add_(_like(y, offset * kept))
        if c.noise or c.sensor_noise:
            y.add_(self._noise(y, place))
        if c.cutout:
            y.mul_(self._uncut(y, box))
        return y if out is None or y is out else out.copy_(y)

    def turned(self, x: Tensor, turn: NDArray[np.integer]) -> Tensor:
        """Turn every window (n, w, w, k) by quarters, and mirror it where its draw (0 … 7) is 4 or more."""
        code = turn % 4 * self.config.rotate + turn // 4 * 4 * self.config.flip
        windows = torch.arange(len(x))[:, None] * self.window**2
        source = (self._turns[torch.from_numpy(code)] + windows).ravel()  # copying whole pixels is ten times faster than turning
        return x.reshape(-1, x.shape[-1]).index_select(0, source.to(x.device)).view_as(x)

    def _cropped(self, x: Tensor, draws: NDArray[np.floating]) -> Tensor:
        """Cut a square out of every window and bring it back to full size (bilinear)."""
        side = 1 - self.config.crop * draws[:, :1]
        shift = (2 * draws[:, 1:] - 1) * (1 - side)
        matrix = np.zeros((len(side), 2, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = side[:, 0]
        matrix[:, :, 2] = shift
        grid = functional.affine_grid(torch.from_numpy(matrix).to(x), [len(x), 1, self.window, self.window], align_corners=False)
        return functional.grid_sample(x.permute(0, 3, 1, 2), grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1).contiguous()

    def _noise(self, x: Tensor, place: NDArray[np.integer]) -> Tensor:
        """Return noise (n, w, w, k): neighbouring pixels of the bank from each window's own place on."""
        pixels = self.window**2
        if self._bank is None or self._bank.device != x.device or self._bank.dtype != x.dtype:
            draws = np.random.default_rng((self.seed, _BANK))
            shape = (_BANK_PIXELS + pixels, self.spread.size)
            drawn = draws.standard_normal(shape, dtype=np.float32) * (self.config.noise * self.spread)
            if self._bands is not None and self.config.sensor_noise:
                drawn = drawn + draws.standard_normal(shape) @ self._bands.noise_root().T
            self._bank = torch.from_numpy(drawn).to(x)
        k = self.spread.size
        # Overlapping rows (place, w² · k) of the bank without a copy; only the chosen ones are copied.
        rows = self._bank.as_strided((_BANK_PIXELS, pixels * k), (k, 1))
        return rows[torch.from_numpy(place).to(x.device)].view_as(x)

    def _uncut(self, x: Tensor, draws: NDArray[np.floating]) -> Tensor:
        """Return a factor (n, w, w, 1): 0 in a square of every window, 1 elsewhere."""
        side = np.round(draws[:, :1] * self.config.cutout * self.window)
        corner = np.floor(draws[:, 1:] * (self.window - side + 1))
        line = np.arange(self.window)
        inside = (line >= corner[:, :, None]) & (line < (corner + side)[:, :, None])  # (n, 2, w)
        return torch.from_numpy(~(inside[:, 0, :, None] & inside[:, 1, None, :]))[..., None].to(x)


def _like(x: Tensor, values: NDArray[np.floating]) -> Tensor:
    """(n, k) → (n, 1, 1, k) on the device and in the type of ``x``."""
    return torch.from_numpy(values)[:, None, None, :].to(x)
