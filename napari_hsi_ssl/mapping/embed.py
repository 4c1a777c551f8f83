"""Embeddings of patches and of every pixel of a cube, and the class probabilities of the self-distillation network.

Two ways lead to the embedding of a pixel: ``windows`` cuts out the window around each pixel, exactly as training saw it; ``dense``
runs the trunk over the whole image (`mapping.dense`), 40 to 120 times cheaper, and different where a window's border sees its
neighbours instead of zeros. On Indian Pines, with trunks without strides, both gave 93 to 96 % (kNN on a window of 9) and 99.7 %
(self-distillation, 15) identical labels at equal accuracy; with the strided trunk of wide windows half of the labels differed. So
`best_way` takes the dense one where the trunk has no strides. Whatever is compared must come from the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_hsi_ssl.config import TrunkConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import gather, pad_frame, prepare_inputs
from napari_hsi_ssl.learning.distil import DistilNetwork, Exit
from napari_hsi_ssl.learning.encoder import SimCLRModel
from napari_hsi_ssl.mapping.dense import Geometry, StageGrid, dense_pool, tiles
from napari_hsi_ssl.patches.index import PatchIndex
from napari_hsi_ssl.progress import Progress, Steps

Method = Literal["dense", "windows"]
Image = NDArray[Any]

EMBEDDING_VERSION: Final = 1
"""Raised when the same model and cube would give another embedding, so that cached ones are made anew."""
PHASES: Final = 2
"""Starting points an axis from which the dense way runs a strided trunk."""
_BATCH_VALUES: Final = 4 * 2**20
_TILE_BYTES: Final = 64 * 2**20


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
    """Return how a model's cubes are embedded unless another way is asked for: densely where the trunk has no strides."""
    return "dense" if Geometry.of(_trunk(card)).strides[-1] == 1 else "windows"


def embed_cube(
    model: SimCLRModel | DistilNetwork,
    card: Card,
    scores: Image,
    area: NDArray[np.bool_],
    *,
    method: Method | None = None,
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
    method : {"dense", "windows"}, optional
        `best_way` by default.
    out : float16 array (y, x, d), optional
        Where to write, a memory map for instance.

    Returns
    -------
    float16 array (y, x, d)
        NaN where a pixel is not used or not measured.
    """
    embedding = np.empty((*area.shape, model.dim), dtype=np.float16) if out is None else out
    if (method or best_way(card)) == "dense":
        found = _dense(model, card, scores, area, lambda stages: _dense_embedding(model, stages))
    else:
        found = _by_windows(model, card, scores, area, model.embed)
    return (yield from _collect(found, embedding, "embedding"))


def predict_cube(
    model: DistilNetwork, card: Card, scores: Image, area: NDArray[np.bool_], *, leave: int = -1, method: Method | None = None
) -> Steps[NDArray[np.float32]]:
    """Return the class probabilities (y, x, classes) of every used and measured pixel, NaN elsewhere.

    Parameters
    ----------
    model, card, scores, area, method
        As `embed_cube` has them; stored values are raw bands where the card's ``input.source`` is "bands".
    leave : int
        The exit that is asked, the deepest by default.
    """
    probabilities = np.empty((*area.shape, len(card["classes"]["numbers"])), dtype=np.float32)
    if (method or best_way(card)) == "dense":
        found = _dense(model, card, scores, area, lambda stages: _dense_exit(model, stages, leave)[1].softmax(-1))
    else:
        found = _by_windows(model, card, scores, area, lambda x: model(x)[leave].softmax(-1))
    return (yield from _collect(found, probabilities, "classifying"))


_Found = Iterator[tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32], int]]
"""Pixels (y and x), their values (n, d), and the rows done so far."""


def exits_of_tiles(model: DistilNetwork, card: Card, scores: Image, area: NDArray[np.bool_]) -> _Found:
    """Yield what every exit says by the dense way: probabilities (n, exits, classes) of some pixels (`mapping.exits`)."""
    exits = range(len(model.exits))
    return _dense(model, card, scores, area, lambda stages: torch.stack([_dense_exit(model, stages, leave)[1].softmax(-1) for leave in exits], dim=-2))


def exits_of_windows(model: DistilNetwork, card: Card, scores: Image, area: NDArray[np.bool_]) -> _Found:
    """Yield the same from windows cut out one by one."""
    return _by_windows(model, card, scores, area, lambda x: torch.stack([logits.softmax(-1) for logits in model(x)], dim=1))


def _collect(found: _Found, out: NDArray[Any], message: str) -> Steps[NDArray[Any]]:
    out[:] = np.nan
    height = out.shape[0]
    for (y, x), values, rows in found:
        out[y, x] = values
        yield Progress(rows, height, message)
    return out


def _checked(card: Card, scores: Image, area: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if scores.shape[:2] != area.shape:
        raise RunError(f"the mask has shape {area.shape}, expected {scores.shape[:2]} as the scores have; make the PCA again.")
    return prepare_inputs(scores, card, area), area & np.isfinite(scores).all(axis=-1)


def _trunk(card: Card) -> TrunkConfig:
    return TrunkConfig.parse(card["architecture"]["trunk"], "the model's card")


def _by_windows(model: nn.Module, card: Card, scores: Image, area: NDArray[np.bool_], ask: Callable[[Tensor], Tensor]) -> _Found:
    inputs, used = _checked(card, scores, area)
    y, x = np.nonzero(used)
    # In the mirrored frame the window of pixel (y, x) begins at (y, x).
    for part, values in _in_batches([pad_frame(inputs, card["window"])], y, x, card["window"], model, ask):
        yield (y[part], x[part]), values, int(y[part][-1]) + 1


def _dense(model: SimCLRModel | DistilNetwork, card: Card, scores: Image, area: NDArray[np.bool_], ask: Callable[[list[StageGrid]], Tensor]) -> _Found:
    inputs, used = _checked(card, scores, area)
    config = _trunk(card)
    geometry = Geometry.of(config)
    trunk = (lambda x: model.trunk(x, model.spectral(x))) if isinstance(model, DistilNetwork) else model.trunk
    rows = max(1, _TILE_BYTES // (16 * area.shape[1] * max(model.dim, sum(config.widths))))
    with torch.inference_mode():
        for part, stages in tiles(trunk, geometry, inputs, card["window"], rows, min(PHASES, geometry.strides[-1]), _device(model)):
            inside = used[part]
            values = ask(stages).float().cpu().numpy()[inside]
            y, x = np.nonzero(inside)
            yield (y + part.start, x), values, part.stop


def _dense_embedding(model: SimCLRModel | DistilNetwork, stages: list[StageGrid]) -> Tensor:
    if isinstance(model, DistilNetwork):
        return _dense_exit(model, stages, -1)[0]
    return dense_pool(model.pool, stages)


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
