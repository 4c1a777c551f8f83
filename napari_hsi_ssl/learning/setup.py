"""From the configuration of a run to what is trained: inputs opened and checked, network built, card written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

import napari_hsi_ssl
from napari_hsi_ssl import limits
from napari_hsi_ssl.config import CubeInput, DomainInput, RunConfig, TrunkConfig
from napari_hsi_ssl.cubes.tiff import with_pages
from napari_hsi_ssl.errors import DAMAGE, ConfigError, LabelError, RunError
from napari_hsi_ssl.explore.band_space import BandSpace
from napari_hsi_ssl.explore.projection import Projection
from napari_hsi_ssl.learning.cameras import PatchesByDomain, PixelsByDomain
from napari_hsi_ssl.learning.carry import carried_trunk
from napari_hsi_ssl.learning.checkpoint import CARD_FORMAT, Card, build_model, load_model
from napari_hsi_ssl.learning.data import PatchStore, PixelWindows, Scale, component_gain, fill_background, input_settings, open_scores, standardisation
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.distillation import Distillation
from napari_hsi_ssl.learning.encoder import SimCLRModel, multiply_adds, parameters
from napari_hsi_ssl.learning.inlets import described
from napari_hsi_ssl.learning.pretraining import Pretraining
from napari_hsi_ssl.learning.starts import Carried, start_inlets
from napari_hsi_ssl.patches.index import PatchIndex

Resolve = Callable[[str], Path]
"""Makes a path of the configuration absolute."""


@dataclass(frozen=True)
class Prepared:
    """What a run trains, the card of its model, and windows to judge the finished model with."""

    objective: Pretraining | Distillation
    card: Card
    validation: PixelWindows | PixelsByDomain | None = None


@dataclass(frozen=True)
class _Cube:
    """One cube, opened: stored values (y, x, k), or bands (y, x, B) where inlets are learned, and foreground (y, x)."""

    name: str
    domain: str
    image: NDArray[Any]
    area: NDArray[np.bool_]


def prepare(config: RunConfig, resolve: Resolve, ranks: int) -> Prepared:
    """Open the inputs of a run and build what it trains.

    Parameters
    ----------
    config : RunConfig
    resolve : callable
        Makes a path of the configuration absolute.
    ranks : int
        Devices.

    Raises
    ------
    HsiError
        When an input is missing, damaged, or does not fit the others.
    """
    cubes = [_open(cube, resolve) for cube in config.cubes]
    if not cubes:
        raise ConfigError("the run's configuration lists no cubes, expected at least one; start the run again from the project.")
    for cube in cubes[1:] if not config.domains else ():
        if cube.image.shape[2] != cubes[0].image.shape[2]:
            first = f"cube '{cubes[0].name}' has {cubes[0].image.shape[2]}"
            raise RunError(f"cube '{cube.name}' has {cube.image.shape[2]} channels and {first}, expected the same; bring them to one band grid with the PCA.")
    return _pretrain(config, cubes, resolve) if config.kind == "pretrain" else _distil(config, cubes, resolve, ranks)


def _pretrain(config: RunConfig, cubes: list[_Cube], resolve: Resolve) -> Prepared:
    settings = config.pretrain
    if settings is None or config.patches is None:
        raise ConfigError("the run's configuration names no patches; start the run again from the project.")
    index = PatchIndex.load(resolve(config.patches))
    images = {cube.name: cube.image for cube in cubes}
    _fits(index, images)
    card = _card(config, cubes, index.size, settings.whiten, resolve, {"trunk": settings.trunk.model_dump(mode="json"), "projection": settings.projection})
    carried = _carried(config, card, resolve)
    model = cast("SimCLRModel", build_model(card, settings.seed))
    if carried is not None:
        model.trunk.load_state_dict(carried.model.trunk.state_dict())
    areas = {cube.name: cube.area for cube in cubes}
    if model.inlets is None:
        store: PatchStore | PatchesByDomain = PatchStore(index, images, areas, card)
    else:
        card["starts"] = start_inlets(model.inlets, config.domains, Projection.load(resolve(config.inlet or "")), carried)
        store = PatchesByDomain(index, images, areas, _cameras(config, cubes), model.inlets, card)
    space = None
    if settings.augment.band_space:
        gain = np.asarray(card["input"]["gain"])
        space = BandSpace.of(Projection.load(resolve(config.inlet or "")), index.domains, gain)
    return Prepared(Pretraining(model, store, settings, resolve("embedding.npz"), space), _counted(card, model))


def _fits(index: PatchIndex, images: dict[str, NDArray[Any]]) -> None:
    for number, name in enumerate(index.cubes):
        chosen = index.cube == number
        if not chosen.any():
            continue
        if name not in images:
            raise RunError(f"the patches lie in cube '{name}', which the run's configuration does not list; cut the patches again, then start another run.")
        height, width = images[name].shape[:2]
        if index.y[chosen].max() + index.size > height or index.x[chosen].max() + index.size > width:
            raise RunError(f"patches of cube '{name}' reach beyond its {height} × {width} pixels; cut the patches again, then start another run.")


def _distil(config: RunConfig, cubes: list[_Cube], resolve: Resolve, ranks: int) -> Prepared:
    settings = config.distil
    if settings is None or not config.labels:
        raise ConfigError("the run's configuration names no labels; start the run again from the project.")
    labels = {role: _labels(config, cubes, resolve, role) for role in ("train", "validation")}
    # A labelled pixel is foreground whatever the mask says, else its window's centre would be filled.
    labelled = zip(cubes, labels["train"], labels["validation"], strict=True)
    cubes = [_Cube(cube.name, cube.domain, cube.image, cube.area | (train > 0) | (held_out > 0)) for cube, train, held_out in labelled]
    trunk = TrunkConfig(widths=settings.widths, blocks=settings.blocks, stem_stride=1, stride=1, pool="centre")
    architecture: dict[str, Any] = {"trunk": trunk.model_dump(mode="json"), "classes": len(config.class_numbers)}
    card = _card(config, cubes, settings.window, settings.whiten, resolve, architecture)
    carried = _carried(config, card, resolve)
    model = cast("DistilNetwork", build_model(card, settings.seed))
    if carried is not None:
        model.trunk.load_state_dict(carried.model.trunk.state_dict())
        torch.nn.init.zeros_(model.spectral.mix.weight)  # it starts as the carried trunk, and learns what 3-D filters add
    card["exits"] = len(model.exits)
    card["classes"] = {"numbers": list(config.class_numbers), "names": list(config.class_names), "colours": list(config.class_colours)}
    training: PixelWindows | PixelsByDomain
    validation: PixelWindows | PixelsByDomain
    if model.inlets is None:
        filled = [fill_background(cube.image, card, cube.area) for cube in cubes]
        training, validation = (PixelWindows(filled, labels[role], config.class_numbers, settings.window) for role in ("train", "validation"))
    else:
        card["starts"] = start_inlets(model.inlets, config.domains, Projection.load(resolve(config.inlet or "")), carried)
        images, areas = {cube.name: cube.image for cube in cubes}, {cube.name: cube.area for cube in cubes}
        training, validation = (
            PixelsByDomain(images, areas, labels[role], _cameras(config, cubes), model.inlets, config.class_numbers, settings.window, card)
            for role in ("train", "validation")
        )
    spread = np.ones(card["channels"]) if settings.input == "bands" else np.asarray(card["input"]["gain"])
    judges = validation if len(validation) else None
    return Prepared(Distillation(model, training, judges, Scale(card, torch.get_default_dtype()), spread, settings, ranks), _counted(card, model), judges)


def _carried(config: RunConfig, card: Card, resolve: Resolve) -> Carried | None:
    """Open the model that a run starts from, and make its trunk and the scale of its input those of the run's card."""
    if config.init is None:
        return None
    model, theirs = load_model(resolve(config.init))
    ours = {"channels": card["channels"], "source": card["input"]["source"], "inlet_sha256": config.inlet_sha256}
    card["architecture"]["trunk"] = carried_trunk(theirs, **ours, learned=bool(config.domains), where=config.init).model_dump(mode="json")
    own = {"background": card["input"]["background"]} if config.domains or config.kind == "pretrain" else {}
    card["input"] = {**theirs["input"], **own}
    return Carried(model, theirs)


def _cameras(config: RunConfig, cubes: Sequence[_Cube]) -> dict[str, DomainInput]:
    domains = {domain.name: domain for domain in config.domains}
    return {cube.name: domains[cube.domain] for cube in cubes}


def _card(config: RunConfig, cubes: list[_Cube], window: int, whiten: float, resolve: Resolve, architecture: dict[str, Any]) -> Card:
    channels = _variance(config, None, resolve).size if config.domains else cubes[0].image.shape[2]
    bands = config.distil is not None and config.distil.input == "bands"
    if bands:
        offset, gain = standardisation([cube.image for cube in cubes], [cube.area for cube in cubes])
    else:
        offset, gain = np.zeros(channels), component_gain(_variance(config, channels, resolve), whiten)
    return {
        "format": CARD_FORMAT,
        "package": napari_hsi_ssl.__version__,
        "kind": config.kind,
        "channels": channels,
        "window": window,
        "architecture": architecture,
        "input": input_settings(offset, gain, "bands" if bands else "pcs", config.background),
        "inlet_sha256": config.inlet_sha256,
        "config_hash": config.digest(),
        "seed": config.trainer.seed,
        **({"inlets": described(config.domains)} if config.domains else {}),
    }


def _counted(card: Card, model: torch.nn.Module) -> Card:
    widest = max((len(domain["used"]) for domain in card.get("inlets", ())), default=0)
    entering = card["window"] ** 2 * card["channels"] * widest
    return {**card, "parameters": parameters(model), "multiply_adds": multiply_adds(model, card["channels"], card["window"]) + entering}


def _variance(config: RunConfig, channels: int | None, resolve: Resolve) -> NDArray[np.float64]:
    """Return the variance of each component of the run's projection, of which there must be so many."""
    if config.inlet is None:
        return np.ones(channels or 0)
    path = resolve(config.inlet)
    try:
        with limits.opened_npz(path) as content:
            variance = np.asarray(content["variance"], dtype=np.float64)
    except DAMAGE as error:
        raise RunError(f"{path} is not a projection ({error}); make the PCA again, then start another run.") from error
    if channels is not None and variance.shape != (channels,):
        raise RunError(f"{path} has {variance.size} components, but the scores have {channels}; make the PCA again, then start another run.")
    return variance


def _open(cube: CubeInput, resolve: Resolve) -> _Cube:
    image = open_scores(resolve(cube.path))
    if cube.mask is None:
        return _Cube(cube.name, cube.domain, image, np.ones(image.shape[:2], dtype=np.bool_))
    return _Cube(cube.name, cube.domain, image, _raster(resolve(cube.mask), image.shape[:2], cube.name) != 0)


def _labels(config: RunConfig, cubes: Sequence[_Cube], resolve: Resolve, role: str) -> list[NDArray[np.integer]]:
    known = {cube.name for cube in cubes}
    files = {label.cube: label.path for label in config.labels if label.role == role}
    missing = sorted(set(files) - known)
    if missing:
        raise LabelError(f"there are labels of cube '{missing[0]}', which the run's configuration does not list; start the run again from the project.")
    frames = [(cube.name, cube.image.shape[:2]) for cube in cubes]
    return [_raster(resolve(files[name]), frame, name) if name in files else np.zeros(frame, dtype=np.int32) for name, frame in frames]


def _raster(path: Path, frame: tuple[int, ...], cube: str) -> NDArray[Any]:
    try:
        with with_pages(path) as file:
            found = tuple(file.series[0].shape)
            if found != frame:  # before anything is unpacked
                raise LabelError(f"{path} has shape {found}, but cube '{cube}' has {frame} (y, x); use a raster made for this cube.")
            return np.asarray(file.series[0].asarray())
    except DAMAGE as error:
        raise ConfigError(f"{path} cannot be read as a TIFF ({error}); start another run from the project.") from error
