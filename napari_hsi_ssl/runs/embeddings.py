"""What networks say of whole cubes, kept in the project and made only where something it depends on has changed.

``embeddings/HASH/NAME.npy`` is (y, x, d) float16, named by everything it was made from; ``NAME.json`` beside it says what that was and keeps
a digest of what every tile was made from. So a cube with a changed mask is embedded only in the tiles whose pixels, surroundings
included, are others than before, and one that was stopped half way goes on from the tiles that were finished (``NAME.TOKEN.part.npy``).

The answers that a self-distillation network's own map is made from are kept in the same way, float32, until the map is there:
``embeddings/unfinished/map/HASH/NAME.npy``, and ``…/disagreement/…`` for how far its exits differ.
"""

from __future__ import annotations

import hashlib
import secrets
import time
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
from napari_hsi_ssl.mapping.embed import Asker, Tally, TileSource, tile_image
from napari_hsi_ssl.mapping.frames import Frame, Part, Tile
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.job_inputs import Model, area_of, values_of

_ABANDONED: Final = 60.0
"""Seconds after which what another process left half made is deleted once a whole one is there."""

Content = dict[str, Any]
"""Of a card: ``made_from``, ``tiles`` (what each was made from, by its place), and ``tallies`` by place where there is more to tell."""


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
    asker = Asker(network, card, memory=memory)
    return (yield from _kept(asker, "embedding", np.float16, network, card, model, cube, cache))


def answers_file(source: TileSource, what: str, network: Model, card: Card, model: Path, cube: Mapping[str, Any], cache: Path) -> Steps[Path]:
    """Return the file of what a network says of a cube, float32; `discard` it once what is made of it is there.

    Parameters
    ----------
    source : TileSource
        Its tallies are those of all tiles in the end, also where these were kept.
    what : str
        "map" or "disagreement".
    network, card, model, cube, cache
        As `embedding_file` has them.
    """
    path, _ = yield from _kept(source, what, np.float32, network, card, model, cube, cache / "unfinished" / what)
    return path


def discard(path: Path) -> None:
    """Delete what `answers_file` kept."""
    with suppress(OSError):  # open in another program
        path.unlink()
        path.with_suffix(".json").unlink()
        path.parent.rmdir()


def _kept(
    source: TileSource, what: str, dtype: type[np.floating], network: Model, card: Card, model: Path, cube: Mapping[str, Any], cache: Path
) -> Steps[tuple[Path, bool]]:
    stored = Path(cube["bands"] if "bands" in cube else cube["scores"])
    area = area_of(cube["area"], open_scores(stored).shape[:2])
    tiles = source.tiles(area.shape)
    lasting = {
        "model": files.file_hash(model),
        "inlet": card.get("inlet_sha256"),
        "way": source.way,
        **({"domain": cube["domain"]} if "bands" in cube else {}),
    }
    made_from = {**lasting, "scores": files.fingerprint(stored), "area": files.digest_bytes(np.packbits(area).tobytes())}
    path = cache / digest(made_from) / f"{cube['name']}.npy"
    shape = (*area.shape, source.dim)
    others = list(_others(cache, str(cube["name"])))
    if _opened(path, shape) is not None:
        source.tallies += [tally for content, other in others if other == path for tally in _all_tallies(content)]
        return path, False
    yield _word(str(cube["name"]), what, made_from, others, tiles)
    kept = [(content, image) for content, image in _usable(others, lasting, shape) if content["made_from"]["scores"] == made_from["scores"]]
    frame = Frame(values_of(network, cube), card, area)
    yield from _make(path, what, shape, dtype, source, frame, tiles, made_from, kept)
    _tidy(path, others, made_from, outdated_only=what == "embedding")
    return path, True


def _make(
    path: Path,
    what: str,
    shape: tuple[int, ...],
    dtype: type[np.floating],
    source: TileSource,
    frame: Frame,
    tiles: list[Tile],
    made_from: dict[str, Any],
    kept: list[tuple[Content, NDArray[np.floating]]],
) -> Steps[None]:
    """Write an image tile by tile; what is finished when it is stopped can be gone on from."""
    part_path = path.with_name(f"{path.stem}.{files.writer()}-{secrets.token_hex(4)}.part.npy")
    card = part_path.with_suffix(".json")
    done: dict[str, str] = {}
    tallies: dict[str, list[Tally]] = {}
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            out = files.empty_npy(part_path, shape, dtype)
            for number, tile in enumerate(tiles, start=1):
                part = frame.part(tile, source.margin)
                place, found, before = _place(tile), _digest(part), len(source.tallies)
                content, image = next(((content, image) for content, image in kept if content["tiles"].get(place) == found), ({}, None))
                if image is None:
                    out[tile] = tile_image(source, part, out.dtype)
                else:
                    out[tile] = image[tile]
                    source.tallies += content.get("tallies", {}).get(place, [])
                for one in (out, *(image for _, image in kept)):
                    files.let_go(one)
                done[place] = found
                if source.tallies[before:]:
                    tallies[place] = source.tallies[before:]
                files.write_json(card, {"made_from": made_from, "tiles": done, **({"tallies": tallies} if tallies else {})})
                yield Progress(number, len(tiles), f"{path.stem}: {what}")
            del out
            card.replace(path.with_suffix(".json"))
            part_path.replace(path)
        finally:
            if not done:
                part_path.unlink(missing_ok=True)


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


def _usable(others: list[tuple[Content, Path]], lasting: Mapping[str, Any], shape: tuple[int, ...]) -> Iterator[tuple[Content, NDArray[np.floating]]]:
    """Yield those of the same network and way whose file is whole."""
    for content, path in others:
        if {key: content["made_from"].get(key) for key in lasting} == dict(lasting) and (image := _opened(path, shape)) is not None:
            yield content, image


def _all_tallies(content: Content) -> list[Tally]:
    return [tally for place in content["tiles"] for tally in content.get("tallies", {}).get(place, [])]


def _word(name: str, what: str, made_from: Mapping[str, Any], others: list[tuple[Content, Path]], tiles: list[Tile]) -> Progress:
    """Say what is gone on with, or why something is made although there is one of that cube."""
    cards = [content["made_from"] for content, _ in others]
    finished = max((sum(_place(tile) in content["tiles"] for tile in tiles) for content, _ in others if content["made_from"] == made_from), default=0)
    if finished:
        return Progress(message=f"{name}: its {what} goes on from {finished} of {len(tiles)} tiles that were finished before.", warning=True)
    same_model = [card for card in cards if card.get("model") == made_from["model"]]
    if same_model and all(card.get("scores") != made_from["scores"] for card in same_model):
        begun = "made" if what == "embedding" else "begun"
        return Progress(message=f"cube '{name}' has changed since its {what} was {begun}, so it is made anew.", warning=True)
    if cards and not same_model:
        return Progress(message=f"{name}: the {what} that is kept is another model's; making this one's")
    return Progress(message=f"{name}: {what}")


def _tidy(path: Path, others: list[tuple[Content, Path]], made_from: Mapping[str, Any], *, outdated_only: bool) -> None:
    """Delete what was left half made, and whole ones: those of the same model of what the cube was before, or all."""
    for content, other in others:
        half = other.name.endswith(".part.npy")
        card = other.with_suffix(".json")
        with suppress(OSError):  # gone already, or open in another program
            who = other.name.rsplit(".", 3)[1].rpartition("-")[0] if half else ""
            gone_on = content["made_from"] == made_from and (who == files.writer() or files.has_ended(who))
            abandoned = gone_on or time.time() - card.stat().st_mtime > _ABANDONED
            changed = content["made_from"].get("model") == made_from["model"] and content["made_from"].get("scores") != made_from["scores"]
            if other != path and (abandoned if half or not outdated_only else changed):
                other.unlink()
                card.unlink()
