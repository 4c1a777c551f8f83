"""Embeddings of whole cubes, kept in the project and made only where something they depend on has changed.

``embeddings/HASH/NAME.npy`` is (y, x, d) float16, named by everything it was made from; ``NAME.json`` beside it says what that was and keeps
a digest of what every tile was made from. So a cube with a changed mask is embedded only in the tiles whose pixels, surroundings
included, are others than before, and one that was stopped half way goes on from the tiles that were finished (``NAME.TOKEN.part.npy``).
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_hsi_ssl import files
from napari_hsi_ssl.config import digest, read_json
from napari_hsi_ssl.errors import ConfigError
from napari_hsi_ssl.learning.checkpoint import Card
from napari_hsi_ssl.learning.data import open_scores
from napari_hsi_ssl.mapping.embed import EMBEDDING_VERSION, PHASES, Asker
from napari_hsi_ssl.mapping.frames import Frame, Part, Tile
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.job_inputs import Model, area_of, values_of

_ABANDONED: Final = 60.0
"""Seconds after which a half-made embedding that nobody went on with is deleted once a whole one is there."""

Tiles = dict[str, str]
"""What each tile was made from, by its place."""


class Leafed:
    """A memory map (y, x, d) of which whatever is asked for is copied and then let go, so that reading it through never fills the memory."""

    def __init__(self, image: NDArray[np.floating]) -> None:
        self._image = image
        self.shape = image.shape

    def __getitem__(self, which: Any) -> NDArray[np.floating]:  # noqa: ANN401 - rows, a mask, places
        found = np.array(self._image[which])
        files.let_go(self._image)
        return found


def embedding_file(network: Model, card: Card, model: Path, cube: Mapping[str, Any], cache: Path, memory: int | None = None) -> Steps[tuple[Path, bool]]:
    """Return the file of a cube's embedding, and whether any of it had to be made now.

    Parameters
    ----------
    network, card
    model : Path
        Their file.
    cube : dict
        ``name``, ``area`` and ``scores``, or ``bands`` and ``domain`` where the inlets are learned.
    cache : Path
        Folder of kept embeddings.
    memory : int, optional
        Bytes that a tile may take on its way through the network.

    Raises
    ------
    ConfigError
        When that is too little for the surroundings that a tile needs.
    """
    source = Path(cube["bands"] if "bands" in cube else cube["scores"])
    area = area_of(cube["area"], open_scores(source).shape[:2])
    asker = Asker(network, card, memory=memory)
    tiles = asker.tiles(area.shape)
    lasting = {
        "model": files.file_hash(model),
        "inlet": card.get("inlet_sha256"),
        "way": [EMBEDDING_VERSION, asker.method, PHASES, asker.precision],
        **({"domain": cube["domain"]} if "bands" in cube else {}),
    }
    made_from = {**lasting, "scores": files.fingerprint(source), "area": files.digest_bytes(np.packbits(area).tobytes())}
    path = cache / digest(made_from) / f"{cube['name']}.npy"
    shape = (*area.shape, network.dim)
    if _opened(path, shape) is not None:
        return path, False
    others = list(_others(cache, str(cube["name"])))
    yield _word(str(cube["name"]), made_from, others)
    kept = [(tiles_of, image) for card_of, tiles_of, image in _usable(others, lasting, shape) if card_of["scores"] == made_from["scores"]]
    frame = Frame(values_of(network, cube), card, area)
    yield from _make(path, shape, asker, frame, tiles, made_from, kept)
    _tidy(path, others, made_from)
    return path, True


def _make(
    path: Path, shape: tuple[int, ...], asker: Asker, frame: Frame, tiles: list[Tile], made_from: dict[str, Any], kept: list[tuple[Tiles, NDArray[np.float16]]]
) -> Steps[None]:
    """Write an embedding tile by tile; what is finished when it is stopped can be gone on from."""
    part_path = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:8]}.part.npy")
    card = part_path.with_suffix(".json")
    done: Tiles = {}
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            out = files.empty_npy(part_path, shape)
            for number, tile in enumerate(tiles, start=1):
                part = frame.part(tile, asker.margin)
                place, found = _place(tile), _digest(part)
                same = next((image for known, image in kept if known.get(place) == found), None)
                out[tile] = same[tile] if same is not None else _values(asker, part)
                for image in (out, *(image for _, image in kept)):
                    files.let_go(image)
                done[place] = found
                files.write_json(card, {"made_from": made_from, "tiles": done})
                yield Progress(number, len(tiles), f"{path.stem}: embedding")
            del out
            part_path.replace(path)
            card.replace(path.with_suffix(".json"))
        finally:
            if not done:
                part_path.unlink(missing_ok=True)


def _values(asker: Asker, part: Part) -> NDArray[np.float16]:
    values = np.full((*part.used.shape, asker.dim), np.nan, dtype=np.float16)
    values[part.used] = asker.values(part)
    return values


def _digest(part: Part) -> str:
    """Name what a tile is made from: its network input, surroundings included, and which pixels are wanted."""
    hasher = hashlib.blake2b(part.values.tobytes(), digest_size=12)
    hasher.update(np.packbits(part.used).tobytes())
    return hasher.hexdigest()


def _place(tile: Tile) -> str:
    return ",".join(f"{some.start}:{some.stop}" for some in tile)


def _opened(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """Open an embedding; None where there is none, or a damaged one."""
    if not path.exists():
        return None
    with suppress(ConfigError):
        image: NDArray[np.float16] = open_scores(path)
        if image.shape == shape:
            return image
    return None


def _others(cache: Path, name: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield the cards of what is kept of a cube, whole or half made, and their files."""
    for card in [*cache.glob(f"*/{name}.json"), *cache.glob(f"*/{name}.*.part.json")]:
        with suppress(ConfigError):
            content = read_json(card)
            if isinstance(content.get("made_from"), dict) and isinstance(content.get("tiles"), dict):
                yield content, card.with_suffix(".npy")


def _usable(
    others: list[tuple[dict[str, Any], Path]], lasting: Mapping[str, Any], shape: tuple[int, ...]
) -> Iterator[tuple[dict[str, Any], Tiles, NDArray[np.float16]]]:
    """Yield those of the same network and way whose file is whole."""
    for content, path in others:
        if {key: content["made_from"].get(key) for key in lasting} == dict(lasting) and (image := _opened(path, shape)) is not None:
            yield content["made_from"], content["tiles"], image


def _word(name: str, made_from: Mapping[str, Any], others: list[tuple[dict[str, Any], Path]]) -> Progress:
    """Say why an embedding is made although there is one of that cube."""
    cards = [content["made_from"] for content, _ in others]
    same_model = [card for card in cards if card.get("model") == made_from["model"]]
    if same_model and all(card.get("scores") != made_from["scores"] for card in same_model):
        return Progress(message=f"cube '{name}' has changed since its embedding was made, so it is made anew.", warning=True)
    if cards and not same_model:
        return Progress(message=f"{name}: the embedding that is kept is another model's; making this one's")
    return Progress(message=f"{name}: embedding")


def _tidy(path: Path, others: list[tuple[dict[str, Any], Path]], made_from: Mapping[str, Any]) -> None:
    """Delete half-made embeddings that were abandoned, and those of the same model of what the cube was before."""
    for content, other in others:
        half = other.name.endswith(".part.npy")
        card = other.with_suffix(".json")
        with suppress(OSError):  # gone already, or open in another program
            abandoned = half and time.time() - card.stat().st_mtime > _ABANDONED
            outdated = not half and content["made_from"].get("model") == made_from["model"] and content["made_from"].get("scores") != made_from["scores"]
            if other != path and (abandoned or outdated):
                other.unlink()
                card.unlink()
