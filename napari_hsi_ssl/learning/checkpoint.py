"""Finished models as safetensors with a card, and the state from which training goes on. No pickle is ever executed."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from napari_hsi_ssl import files
from napari_hsi_ssl.config import TrunkConfig, read_json
from napari_hsi_ssl.errors import DAMAGE, ConfigError, RunError
from napari_hsi_ssl.learning.distil import DistilNetwork
from napari_hsi_ssl.learning.encoder import SimCLRModel, channels_last
from napari_hsi_ssl.learning.inlets import bank_of

CARD_FORMAT = 1
_WIDEST: Final = 2**16
_MOST: Final = {"blocks": 256, "stages": 32, "window": 4096}
_MOST_WEIGHTS: Final = 2**28
_HEAD_BYTES: Final = 2**20

Card = dict[str, Any]
"""What ``model.json`` says of a model.

``format``, ``package`` (version), ``kind`` ("pretrain" or "distil"), ``channels``, ``window``, ``architecture`` (``trunk``, and
``projection`` or ``classes``), ``input`` (``source`` "pcs" or "bands", ``offset`` and ``gain`` of every channel, ``background``),
``classes`` (``numbers``, ``names``, ``colours``; distil), ``inlets`` (of each domain with a learned inlet: ``name``, ``bands``, ``used``,
``wavelengths`` and what its ``tensors`` begin with; their scores take the place of stored ones), ``starts`` (what each of them started as, in
words), ``inlet_sha256``, ``bands``, ``config_hash``, ``seed``, ``parameters``,
``multiply_adds``, ``sha256`` (of the weights' file, once there is one).
"""


def build_model(card: Card, seed: int | None = None) -> SimCLRModel | DistilNetwork:
    """Make the network a card describes, with random weights.

    Parameters
    ----------
    card : dict
        As `load_model` returns it.
    seed : int, optional
        Makes the weights a function of it; by default they come from torch's global generator.

    Raises
    ------
    RunError
        When this version knows no such architecture.
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            architecture = card["architecture"]
            trunk = TrunkConfig.parse(architecture["trunk"], "the model's card")
            _check_size(card, trunk)
            if card["kind"] == "pretrain":
                return SimCLRModel(card["channels"], trunk, architecture["projection"], bank_of(card))
            if card["kind"] == "distil":
                return DistilNetwork(card["channels"], trunk, architecture["classes"], bank_of(card))
        except (ConfigError, *DAMAGE) as error:
            raise RunError(f"the model's card lacks or misstates a field ({error}), expected one of format {CARD_FORMAT}; train the model again.") from error
    raise RunError(f"the model's card names the kind {card['kind']!r}, expected 'pretrain' or 'distil'; use the program version that wrote it.")


def _check_size(card: Card, trunk: TrunkConfig) -> None:
    """Raise `RunError` when a card describes a network that no run here makes, before room is made for it."""
    architecture = card["architecture"]
    sizes = {"channels": card["channels"], "window": card.get("window", 1), "blocks": trunk.blocks, "stages": len(trunk.widths)}
    sizes |= {name: architecture[name] for name in ("projection", "classes") if name in architecture}
    sizes |= {f"width {number + 1}": width for number, width in enumerate(trunk.widths[: _MOST["stages"]])}
    for name, value in sizes.items():
        most = _MOST.get(name, _WIDEST)
        if not isinstance(value, int) or not 0 < value <= most:
            raise RunError(f"the model's card says {name} = {str(value)[:40]!r}, expected a whole number from 1 to {most:,}; do not trust this model.")
    channels, depth = card["channels"], trunk.blocks
    stages = zip((channels, *trunk.widths), trunk.widths, strict=False)
    weights = sum(9 * (2 * depth * wide * wide + narrow * wide) for narrow, wide in stages)
    if weights > _MOST_WEIGHTS:
        raise RunError(f"the model's card describes a network of {weights:,} weights, expected at most {_MOST_WEIGHTS:,}; do not trust this model.")
    scale = card.get("input")
    if scale is not None and any(len(scale[name]) != channels for name in ("offset", "gain")):
        raise RunError(f"the model's card has no offset and gain for each of its {channels} channels; put the file and the .json of one run together.")


def save_model(folder: Path, model: nn.Module, card: Card) -> None:
    """Write ``model.safetensors`` and ``model.json``, its card: tensors only, so equal weights are equal bytes, whose hash the card keeps."""
    content = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    with files.atomic_paths(folder / "model.safetensors", folder / "model.json") as (weights, beside):
        weights.write_bytes(content)
        beside.write_bytes(files.json_bytes({**card, "sha256": hashlib.sha256(content).hexdigest()}))


def load_model(path: Path) -> tuple[SimCLRModel | DistilNetwork, Card]:
    """Read a model and its card.

    Parameters
    ----------
    path : Path
        The ``.safetensors`` file; the card is the ``.json`` of the same name beside it.

    Returns
    -------
    module
        In evaluation mode, with ``embed`` (n, channels, window, window) → (n, d).
    dict
        The card.

    Raises
    ------
    RunError
        When a file is missing, truncated, a pickle, or of another architecture than its card says.
    """
    files.there(path.with_suffix(".json"))
    card = read_json(path.with_suffix(".json"))
    if card.get("format") != CARD_FORMAT:
        raise RunError(f"{path.with_suffix('.json')} has format {card.get('format')!r}, expected {CARD_FORMAT}; use the program version that wrote it.")
    model = build_model(card)
    expected = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()) + _HEAD_BYTES
    try:
        if path.stat().st_size > 2 * expected or not path.is_file():  # twice, for weights of double precision
            raise RunError(f"{path} has {path.stat().st_size:,} bytes, far more than the network of its card needs; do not trust this model.")
        content = path.read_bytes()
        tensors = load_tensors(content)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); check the path, or train the model again.") from error
    except (safetensors.SafetensorError, *DAMAGE) as error:
        raise RunError(f"{path} is not a whole safetensors file ({error}); copy it again or train again, other formats are never loaded.") from error
    wrong = _difference(tensors, model)
    if wrong:
        raise RunError(f"{path} holds another architecture than its card says (first difference: {wrong}); put the file and the .json of one run together.")
    if "sha256" in card and card["sha256"] != hashlib.sha256(content).hexdigest():
        raise RunError(f"{path} is not as it was when its card was written: it is damaged, or of another run; copy both again, or train again.")
    model.load_state_dict(tensors)
    channels_last(model)
    return model.eval(), card


def _difference(tensors: Mapping[str, Tensor], model: nn.Module) -> str:
    """Return in words where tensors and a model differ first; "" when they fit."""
    expected = model.state_dict()
    unknown = sorted(set(tensors) ^ set(expected))
    if unknown:
        return unknown[0]
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            found, wanted = (" × ".join(map(str, shape)) for shape in (tensor.shape, expected[name].shape))
            return f"{name} is {found}, expected {wanted}"
    return ""


class States:
    """The last few training states of a run.

    Parameters
    ----------
    folder : Path
    keep : int
        How many to keep.
    start : Path, optional
        State of another run, from which this one goes on while it has none of its own.
    """

    def __init__(self, folder: Path, keep: int, start: Path | None = None) -> None:
        self.folder, self.keep, self.start = folder, keep, start

    def paths(self) -> list[Path]:
        """Return the states, oldest first."""
        return sorted(self.folder.glob("step-*.pt"))

    def save(self, state: dict[str, Any]) -> Path:
        """Write a state atomically, then drop the oldest: a full disk or a kill leaves those before untouched."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        if not self.folder.parent.exists():
            where = self.folder.parent  # it must not come back with nothing but checkpoints
            raise RunError(f"run folder {where} has vanished: it was deleted, or its share is no longer there; bring it back, then continue with --resume.")
        path = self.folder / f"step-{state['step']:09d}.pt"
        for torn in self.folder.glob(".step-*"):  # of a save that was killed
            torn.unlink(missing_ok=True)
        files.write_bytes(path, buffer.getvalue())
        for old in self.paths()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the newest state that can be read, or None without any, and what is wrong with newer ones."""
        complaints: list[str] = []
        for path in reversed(self.paths()):
            try:
                return load_state(path), complaints
            except RunError as error:
                complaints.append(str(error))
        return (load_state(self.start) if self.start is not None else None), complaints

    def restore(self, state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Bring model and optimiser to a state that `newest` returned.

        Raises
        ------
        RunError
            When the state is of another network, or of another number of bands.
        """
        path = self.folder / f"step-{state['step']:09d}.pt"
        wrong = _difference(state["model"], model)
        if wrong:
            raise RunError(f"{path} is of another network or other bands than this run (first difference: {wrong}); put the run's own checkpoints back.")
        model.load_state_dict(state["model"])
        try:
            optimizer.load_state_dict(state["optimizer"])
        except (KeyError, ValueError) as error:
            raise RunError(f"{path} holds no state of this run's optimiser ({error}); put the run's own checkpoints back, or start another run.") from error


def load_state(path: Path) -> dict[str, Any]:
    """Read one state, refusing everything but plain values and tensors.

    Raises
    ------
    RunError
        When the file is truncated or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # a state is never packed, so nothing in it unfolds to more than the file
            if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
                raise RunError(f"{path} unpacks to more than it has bytes, which no training state does; an older one is used where there is one.")
            if archive.testzip() is not None:  # torch reads numbers with flipped bits without a word
                raise RunError(f"{path} is damaged (its checksums are wrong); an older one is used where there is one.")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGE, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is not a whole training state ({str(error)[:120]}); an older one is used where there is one.") from error
    if not isinstance(state, dict) or not {"model", "optimizer", "step"} <= state.keys():
        raise RunError(f"{path} lacks parts of a training state; an older one is used where there is one.")
    return state
