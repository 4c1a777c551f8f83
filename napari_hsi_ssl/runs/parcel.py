"""Carry a run to another computer and back in one file: its folder with everything it needs, no path leading out of it."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

from napari_hsi_ssl import files, trust
from napari_hsi_ssl.config import RunConfig
from napari_hsi_ssl.errors import RunError
from napari_hsi_ssl.progress import Progress, Steps
from napari_hsi_ssl.runs.folder import RunFolder

_LEFT_BEHIND: Final = {"lock.json", "cancel", "job.sh"}
"""What is about the computer and not about the run."""
_INPUTS: Final = "inputs"
_MOST_FILES: Final = 100_000


def pack(folder: RunFolder, to: Path) -> Steps[dict[str, Any]]:
    """Write a run with its inputs into one tar file.

    Raises
    ------
    RunError
        When it is being trained, or an input is gone or has changed.
    """
    if folder.alive:
        raise RunError(f"run '{folder.name}' is being trained; pack it when it has ended, or cancel it first.")
    config, inputs = _gathered(folder)
    own = [path for path in sorted(folder.path.rglob("*")) if path.is_file() and _belongs(path.relative_to(folder.path))]
    own = [path for path in own if path.relative_to(folder.path).as_posix() not in {"config.json", *inputs}]
    total = len(own) + len(inputs) + 1
    text = json.dumps(config.model_dump(mode="json"), indent=2).encode()
    with files.atomic_path(to) as temporary, tarfile.open(temporary, "w", dereference=True) as archive:
        header = tarfile.TarInfo(f"{folder.name}/config.json")
        header.size = len(text)
        archive.addfile(header, io.BytesIO(text))
        for number, (name, path) in enumerate([*((path.relative_to(folder.path).as_posix(), path) for path in own), *inputs.items()]):
            yield Progress(number, total, f"packing {Path(name).name}")
            archive.add(path, f"{folder.name}/{name}", recursive=False)
    return {"run": folder.name, "file": str(to), "bytes": to.stat().st_size, "files": total}


def _belongs(name: Path) -> bool:
    return name.as_posix() not in _LEFT_BEHIND and not any(part.startswith(".") for part in name.parts)


def _gathered(folder: RunFolder) -> tuple[RunConfig, dict[str, Path]]:
    """Return the configuration with every input under ``inputs/``, and where each of those is now."""
    config = folder.config
    found: dict[str, Path] = {}

    def moved(path: str | None, sha256: str | None, prefix: str = "") -> str | None:
        if path is None:
            return None
        source = folder.resolve(path)
        if not source.is_file():
            raise RunError(f"{source}, an input of run '{folder.name}', is gone; put it back, then pack the run again.")
        if sha256 is not None and files.file_hash(source) != sha256:
            raise RunError(f"{source} has changed since run '{folder.name}' was made; put the old file back, then pack the run again.")
        name = f"{_INPUTS}/{prefix}{source.name}"
        if found.get(name, source) != source:
            name = f"{_INPUTS}/{len(found)}-{prefix}{source.name}"
        found[name] = source
        return name

    made = config.model_copy(
        update={
            "cubes": tuple(cube.model_copy(update={"path": moved(cube.path, cube.sha256), "mask": moved(cube.mask, None)}) for cube in config.cubes),
            "labels": tuple(label.model_copy(update={"path": moved(label.path, label.sha256)}) for label in config.labels),
            "inlet": moved(config.inlet, config.inlet_sha256),
            "patches": moved(config.patches, config.patches_sha256, "patches-"),
            "init": moved(config.init, config.init_sha256, "init-"),
            "start": moved(config.start, config.start_sha256),
        }
    )
    if config.init is not None and made.init is not None:  # a model is read with the card beside it
        card = folder.resolve(config.init).with_suffix(".json")
        found[str(PurePosixPath(made.init).with_suffix(".json"))] = card
    return made, found


def unpack(archive: Path, runs: Path) -> Steps[dict[str, Any]]:
    """Put a packed run among the runs of a project; one that is there already is brought up to the packed one's state.

    Nothing outside the run's own folder is ever written: links, devices and paths that lead out of it are refused.

    Raises
    ------
    RunError
        When the file is no packed run, or another run has that name, is being trained, or has got further.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=runs) as place:
        name = yield from _extract(archive, Path(place))
        brought = RunFolder(Path(place) / name)
        config = brought.config  # says what is wrong with it, if anything is
        target = RunFolder(runs / name)
        if not target.config_path.exists():
            if target.path.exists():
                raise RunError(f"{target.path} is there already and is no run; move it away, then unpack {archive.name} again.")
            if not all(trust.lies_in(file, brought.path) for file in brought.inputs()):
                raise RunError(f"{archive} holds a run whose inputs lie outside its own folder, which `runs --pack` never writes; do not trust this file.")
            brought.path.replace(target.path)
        else:
            _bring_up(target, brought, config, archive)
    return {"run": name, "folder": str(target.path), "state": target.state}


def _extract(archive: Path, place: Path) -> Steps[str]:
    try:
        with tarfile.open(archive, "r:") as opened:
            names: set[str] = set()
            for number, member in enumerate(_members(opened, archive)):
                path = PurePosixPath(member.name)
                yield Progress(number, 0, f"unpacking {path.name}")
                names.add(path.parts[0])
                if _belongs(Path(*path.parts[1:])):  # a job script from elsewhere would be run here as it stands
                    opened.extract(member, place, filter="data")
    except FileNotFoundError as error:
        raise RunError(f"{archive} does not exist; check the path.") from error
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RunError(f"{archive} cannot be unpacked ({error}); copy it again, or pack the run once more.") from error
    if len(names) != 1 or not (place / next(iter(names)) / "config.json").is_file():
        raise RunError(f"{archive} holds no packed run (config.json in one folder); choose a file that `runs --pack` wrote.")
    return names.pop()


def _members(opened: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(opened):
        path = PurePosixPath(member.name)
        safe = member.isreg() and member.sparse is None and not path.is_absolute() and ".." not in path.parts and len(path.parts) >= 2
        if not safe or "\\" in member.name or ":" in path.parts[0] or not all(map(trust.is_plain_name, path.parts)):
            raise RunError(f"{archive} holds '{member.name}', which is no ordinary file inside a run's folder; do not trust this file.")
        if number >= _MOST_FILES:
            raise RunError(f"{archive} holds more than {_MOST_FILES} files, which no run has; do not trust this file.")
        yield member


def _bring_up(target: RunFolder, brought: RunFolder, config: RunConfig, archive: Path) -> None:
    """Take over what was learned elsewhere; the run's own paths stay as they are here."""
    ours = target.config
    if _identity(ours) != _identity(config):
        raise RunError(f"there is another run '{target.name}' with other settings or inputs; rename its folder, then unpack {archive.name} again.")
    if target.alive:
        raise RunError(f"run '{target.name}' is being trained here; cancel it before unpacking {archive.name}.")
    if _progress(target) > _progress(brought):
        raise RunError(f"run '{target.name}' has got further here than in {archive.name}; delete it first if the packed one is wanted.")
    for entry in brought.path.iterdir():
        if entry.name in {"config.json", _INPUTS}:
            continue
        own = target.path / entry.name
        if entry.is_dir():
            shutil.rmtree(own, ignore_errors=True)
        entry.replace(own)


def _identity(config: RunConfig) -> dict[str, Any]:
    """Return what makes a run the same on every computer: settings, and inputs by what they hold."""
    machine = {"devices", "accelerator", "precision", "checkpoint_minutes", "keep_checkpoints"}
    return {
        "kind": config.kind,
        "settings": config.trainer.model_dump(mode="json", exclude=machine),
        "inputs": sorted([cube.sha256 for cube in config.cubes] + [label.sha256 for label in config.labels]),
        "others": [config.inlet_sha256, config.patches_sha256, config.init_sha256, config.start_sha256],
    }


def _progress(folder: RunFolder) -> tuple[bool, int]:
    last = folder.last("checkpoint") or {}
    return folder.result is not None, int(last.get("step") or 0)
