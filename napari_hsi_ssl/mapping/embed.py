"""Embeddings of patches and of every pixel of a cube, and the class probabilities of the self-distillation network.

Two ways lead to the embedding of a pixel: ``windows`` cuts out the window around each pixel, exactly as training saw it; ``dense``
runs the trunk over the whole image (`mapping.dense`), 40 to 120 times cheaper, and different where a window's border sees its
neighbours instead of zeros. On Indian Pines, with trunks without strides, both gave 93 to 96 % (kNN on a window of 9) and 99.7 %
(self-distillation, 15) identical labels at equal accuracy; with the strided trunk of wide windows half of the labels differed. So
`best_way` takes the dense one where the trunk has no strides and the window is no mere few pixels. Whatever is compared must come from the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_hsi_ssl import files
from napari_hsi_ssl.config import BatchConfig, TrunkConfig
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import gather, prepare_inputs
from napari_hsi_ssl.learning.devices import has_bf16
from napari_hsi_ssl.learning.distil import DistilNetwork, Exit
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.mapping.dense import Geometry, StageGrid, dense_pool, margin, stage_grids
from napari_hsi_ssl.mapping.frames import Frame, Margin, Part, Tile, grid
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import Progress, Steps

Method = Literal["dense", "windows"]
Precision = Literal["auto", "32", "bf16"]
Image = NDArray[Any]

EMBEDDING_VERSION: Final = 1
"""Raised when the same model and cube would give another embedding, so that cached ones are made anew."""
PHASES: Final = 2
"""Starting points an axis from which the dense way runs a strided trunk."""
TILE_BYTES: Final = BatchConfig().memory * 2**20
"""Memory that a tile takes on its way through a network, unless another limit is given."""
_BATCH_VALUES: Final = 4 * 2**20
_WINDOWS_SIDE: Final = 64  # of a tile whose pixels are asked one by one: small, for it may take seconds


def embed_patches(
    model: SimCLRModel | DistilNetwork, card: Card, images: Mapping[str, Image], areas: Mapping[str, NDArray[np.bool_]], index: PatchIndex
) -> Steps[NDArray[np.float32]]:
    """Return the backbone's features (n, d) of every patch of an index, exactly as training saw them.

    Parameters
    ----------
    model : module
        In evaluation mode; it decides the device.
    card : dict
        Its card.
    images : dict of str to array (y, x, k)
        Stored scores by cube name.
    areas : dict of str to bool array (y, x)
        Foreground by cube name.
    index : PatchIndex

    Raises
    ------
    RunError
        When a cube has another number of channels than the model.
    """
    features = np.empty((len(index), model.dim), dtype=np.float32)
    done = 0
    for number in np.unique(index.cube):
        name = index.cubes[number]
        inputs = prepare_inputs(images[name], card, areas.get(name))
        rows = np.flatnonzero(index.cube == number)
        for part, values in _in_batches([inputs], index.y[rows], index.x[rows], index.size, model, model.embed):
            features[rows[part]] = values
            done += values.shape[0]
            yield Progress(done, len(index), f"embedding patches of {name}")
    return features


def best_way(card: Card) -> Method:
    """Return how a model's cubes are embedded unless another way is asked for.

    Densely where the trunk has no strides and its windows are wider than it sees to one side: features of smaller ones have all
    seen the zeros around their window, and the whole image holds none (Indian Pines, leak-free, 150 steps: 52 % densely for
    59 % by windows of 1, 57 for 61 of 3).
    """
    geometry = Geometry.of(_trunk(card))
    return "dense" if geometry.strides[-1] == 1 and card["window"] > geometry.halo else "windows"


def embed_cube(
    model: SimCLRModel | DistilNetwork,
    card: Card,
    scores: Image,
    area: NDArray[np.bool_],
    *,
    method: Method | None = None,
    precision: Precision = "auto",
    memory: int | None = None,
    out: NDArray[np.float16] | None = None,
) -> Steps[NDArray[np.float16]]:
    """Return the embedding (y, x, d) of every used and measured pixel, from the window around it.

    Parameters
    ----------
    model, card
        The model decides the device.
    scores : array (y, x, k)
        As stored; NaN where not measured.
    area : bool array (y, x)
        Which pixels are used. The background is what the model's card says.
    method, precision, memory
        As `Asker` has them.
    out : float16 array (y, x, d), optional
        Where to write, a memory map for instance.

    Returns
    -------
    float16 array (y, x, d)
        NaN where a pixel is not used or not measured.
    """
    embedding = np.empty((*area.shape, model.dim), dtype=np.float16) if out is None else out
    asker = Asker(model, card, method=method, precision=precision, memory=memory)
    return (yield from ask_cube(asker, Frame(scores, card, area), embedding, "embedding"))


def map_precision(asked: Precision, on_gpu: bool) -> Literal["32", "bf16"]:
    """Return the precision in which maps are computed: bfloat16 where the device has units for it, unless another is asked for."""
    return asked if asked != "auto" else ("bf16" if has_bf16(on_gpu) else "32")


Tally = dict[str, Any]
"""What is to be told of one tile besides its pixels, as JSON has it."""


class TileSource(Protocol):
    """Whatever says something of every pixel of a cube, a tile at a time.

    Attributes
    ----------
    dim : int
        How many values it says of a pixel.
    margin : Margin
        The surroundings that it wants of a tile.
    way : list
        What tells its answers from those that the same network gives when it is asked otherwise, as JSON has it.
    tallies : list of Tally
        `values` adds to it what is to be told of a tile.
    """

    dim: int
    margin: Margin
    way: list[Any]
    tallies: list[Tally]

    def tiles(self, shape: tuple[int, int], /) -> list[Tile]:
        """Divide a cube."""

    def values(self, part: Part, /) -> NDArray[np.float32]:
        """Return what is said of the used pixels of a tile (n, d), row by row."""


class Asker:
    """What a network says of every pixel of a cube, a tile at a time.

    Parameters
    ----------
    model, card
        The model decides the device.
    method : {"dense", "windows"}, optional
        `best_way` by default.
    precision : {"auto", "32", "bf16"}
        `map_precision` by default.
    leaves : sequence of int, optional
        The exits of a self-distillation network whose class probabilities are asked for, one after another; by default the embedding is.
    memory : int, optional
        Bytes that a tile may take; `TILE_BYTES` by default.
    """

    def __init__(
        self,
        model: SimCLRModel | DistilNetwork,
        card: Card,
        *,
        method: Method | None = None,
        precision: Precision = "auto",
        leaves: Sequence[int] = (),
        memory: int | None = None,
    ) -> None:
        self._model, self._leaves, self._window = model, tuple(leaves), int(card["window"])
        self._config = _trunk(card)
        self.method: Method = method or best_way(card)
        self._geometry = Geometry.of(self._config)
        self._memory = TILE_BYTES if memory is None else memory
        self._device = _device(model)
        self.precision = map_precision(precision, self._device.type == "cuda")
        self.dim = len(self._leaves) * len(card["classes"]["numbers"]) if self._leaves else model.dim
        before = self._window // 2
        self.margin = margin(self._geometry, self._window) if self.method == "dense" else Margin(before, self._window - 1 - before)
        self.way: list[Any] = [EMBEDDING_VERSION, self.method, PHASES, self.precision]
        self.tallies: list[Tally] = []  # of an embedding there is nothing to tell

    def tiles(self, shape: tuple[int, int]) -> list[Tile]:
        """Divide a cube into tiles that fit into the memory.

        Raises
        ------
        ConfigError
            When not even the smallest one does.
        """
        pixel = self._pixel_bytes()
        if self.method == "windows":
            return grid(shape, min(self._memory, pixel * (_WINDOWS_SIDE + self.margin.both) ** 2), pixel, self.margin, 1)
        return grid(shape, self._memory, pixel, self.margin, self._geometry.strides[-1])

    def _pixel_bytes(self) -> int:
        """Return about how many bytes a pixel takes on its way through the network: what is kept of it, and the largest of what passes."""
        widths = self._config.widths
        if self.method == "windows":
            return 4 * (2 * self._model.trunk.stem.in_channels + self.dim)
        spectral = self._model.spectral.mix.in_channels if isinstance(self._model, DistilNetwork) else 0
        phases = min(PHASES, self._geometry.strides[-1])
        apart = (phases / self._geometry.strides[0]) ** 2
        values = 2 * self._model.trunk.stem.in_channels + apart * (3 * spectral + 2 * sum(widths) + 4 * max(widths)) + 2 * self._model.dim
        return int(4 * values)

    def values(self, part: Part) -> NDArray[np.float32]:
        """Return what is asked of the used pixels of a tile (n, d), row by row."""
        if not part.used.any():
            return np.empty((0, self.dim), dtype=np.float32)
        with torch.inference_mode():
            return self._densely(part) if self.method == "dense" else self._by_windows(part)

    def _maps(self, x: Tensor) -> list[Tensor]:
        """Run the trunk alone in half precision: what decides, and costs little, is computed in single precision."""
        model = self._model
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            maps = model.trunk(x, model.spectral(x)) if isinstance(model, DistilNetwork) else model.trunk(x)
        return [image.float() for image in maps]

    def _by_windows(self, part: Part) -> NDArray[np.float32]:
        y, x = np.nonzero(part.used)  # the window of a pixel begins there in the tile with its margin
        out = np.empty((y.size, self.dim), dtype=np.float32)
        for rows, values in _in_batches([part.values], y, x, self._window, self._model, self._of_windows):
            out[rows] = values
        return out

    def _of_windows(self, x: Tensor) -> Tensor:
        maps, model = self._maps(x), self._model
        if not isinstance(model, DistilNetwork):
            return cast(Tensor, model.pool(maps))
        if self._leaves:
            return torch.cat([model.exits[leave](maps[leave])[1].softmax(-1) for leave in self._leaves], dim=-1)
        return cast(Tensor, model.exits[-1](maps[-1])[0])

    def _densely(self, part: Part) -> NDArray[np.float32]:
        values = torch.from_numpy(part.values).to(self._device).permute(2, 0, 1)[None]
        model = self._model
        phases = min(PHASES, self._geometry.strides[-1])
        stages = stage_grids(self._maps, self._geometry, values, cast("tuple[int, int]", part.used.shape), self._window, phases)
        if not isinstance(model, DistilNetwork):
            said = dense_pool(model.pool, stages)
        elif self._leaves:
            said = torch.cat([_dense_exit(model, stages, leave)[1].softmax(-1) for leave in self._leaves], dim=-1)
        else:
            said = _dense_exit(model, stages, -1)[0]
        return said.cpu().numpy()[part.used]


def ask_cube(source: TileSource, frame: Frame, out: NDArray[Any], message: str) -> Steps[NDArray[Any]]:
    """Write what is said of every used pixel of a cube into ``out`` (y, x, d), NaN elsewhere."""
    tiles = source.tiles(frame.shape)
    for number, tile in enumerate(tiles, start=1):
        out[tile] = tile_image(source, frame.part(tile, source.margin), out.dtype)
        files.let_go(out)
        yield Progress(number, len(tiles), message)
    return out


def tile_image(source: TileSource, part: Part, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what is said of a tile (h, w, d), NaN where a pixel is not used or not measured."""
    image = np.full((*part.used.shape, source.dim), np.nan, dtype=dtype)
    image[part.used] = source.values(part)
    return image


def _trunk(card: Card) -> TrunkConfig:
    return TrunkConfig.parse(card["architecture"]["trunk"], "the model's card")


def _dense_exit(model: DistilNetwork, stages: list[StageGrid], leave: int) -> tuple[Tensor, Tensor]:
    asked = cast(Exit, model.exits[leave])
    feature: Tensor = asked.feature(dense_pool(asked.pool, [stages[leave]]))
    logits: Tensor = asked.classify(feature.relu())
    return feature, logits


def _in_batches(
    images: list[Image], y: NDArray[np.integer], x: NDArray[np.integer], window: int, model: nn.Module, ask: Callable[[Tensor], Tensor]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield ``(rows, values)`` of windows by their top-left corners."""
    device = _device(model)
    batch = max(16, _BATCH_VALUES // (window * window * images[0].shape[2]))
    for start in range(0, y.size, batch):
        part = slice(start, min(y.size, start + batch))
        windows = gather(images, np.zeros(part.stop - start, dtype=np.intp), y[part], x[part], window)
        with torch.inference_mode():
            values = ask(torch.from_numpy(windows).to(device).permute(0, 3, 1, 2))
        yield part, values.float().cpu().numpy()


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
