"""Which files outside a project folder may be read for it: those it was given on this computer, and those confirmed here.

A project folder may come from anybody, and it names files: cubes, references, labels, the inputs of its runs. What lies in the folder
belongs to it. What lies elsewhere is read only when somebody here said so. That is remembered outside the folder, in the user's own state
folder, so that no project brings its permission along; and by project and file, so that what one project may read another may not. A project
that has moved is known by its ``id``, and may read what it was given before wherever that lies now: files that hold the same.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import platformdirs

from napari_hsi_ssl import files
from napari_hsi_ssl.config import read_json
from napari_hsi_ssl.errors import HsiError, HsiWarning, ProjectError, UntrustedError

PLACE: Final = "HSI_TRUST"
"""Environment variable that names another folder to remember in, such as one that the nodes of a cluster share."""
_NO_NAME: Final = re.compile(r"[/\\\x00-\x1f\x7f]" if os.name == "posix" else r'[/\\:*?"<>|\x00-\x1f\x7f]')
_LONGEST_NAME: Final = 200
_ID: Final = re.compile(r"[0-9a-f]{16}")
_KEPT: Final = ("masks", "labels", "strokes", "inlets", "bands", "patches", "embeddings", "runs", "maps", "tables", "splits")
"""Folders that the program itself fills: nothing in them, and none of them, is a link that leads out."""


def remembered_in() -> Path:
    """Return the folder in which is remembered what may be read: `PLACE`, else the user's state folder.

    Where that cannot be written (a container without a home), a folder of the user's own among the temporary ones serves until it is swept.
    """
    given = os.environ.get(PLACE)
    if given:
        return Path(given)
    usual = Path(platformdirs.user_state_dir("napari-hsi-ssl")) / "trusted"
    return usual if _own(usual) else _passing() or usual


def _passing() -> Path | None:
    user = os.getuid() if os.name == "posix" else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"napari-hsi-ssl-{user}"
    return folder if _own(folder) else None


def _own(folder: Path) -> bool:
    """Tell whether a folder is there, or could be made, that this user may write, and on POSIX that is theirs alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    alone = os.name != "posix" or (stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return alone and os.access(folder, os.W_OK)


def is_plain_name(name: object) -> bool:
    """Tell whether a text can name one file or folder, wherever it is put: it cannot lead to another folder."""
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name not in {".", ".."} and _NO_NAME.search(name) is None


def made_plain(name: str) -> str:
    """Return a text as a name that `is_plain_name`; of a file's name for what is called after it."""
    return _NO_NAME.sub("_", name)[:_LONGEST_NAME].strip() or "unnamed"


def lies_in(path: Path, folder: Path) -> bool:
    """Tell whether a path leads into a folder, links followed."""
    real, root = _real(path), _real(folder)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def _real(path: Path) -> str:
    text = os.path.normpath(Path(path).absolute())
    # Another computer is not asked whether a path is a link: Windows would introduce the user to it.
    return os.path.normcase(text if text.startswith(("//", "\\\\")) else os.path.realpath(text))


# -- what is remembered -----------------------------------------------------------------------------------------------------


def _memory(folder: Path) -> Path:
    return remembered_in() / f"{files.digest_bytes(_real(folder).encode('utf-8', 'surrogatepass'))}.json"


def _kept_in(path: Path) -> set[str]:
    if not path.exists():
        return set()
    try:
        kept = read_json(path).get("files")
    except HsiError:
        return set()  # what cannot be read allows nothing; it is asked for again, and written anew
    return {name for name in kept if isinstance(name, str)} if isinstance(kept, list) else set()


def _keep_in(path: Path, folder: Path, new: set[str]) -> None:
    known = _kept_in(path)
    if new <= known:
        return
    try:
        files.write_json(path, {"project": _real(folder), "files": sorted(known | new)})
    except ProjectError as error:
        message = f"what {folder} may read cannot be remembered ({error}), so it is asked for again; set {PLACE} to a folder that can be written."
        warnings.warn(message, HsiWarning, stacklevel=4)


def confirm(folder: Path, paths: Iterable[Path], identity: object = None) -> None:
    """Remember that files, outside of a project folder, may be read for it; a folder stands for what is in it.

    Parameters
    ----------
    identity : str, optional
        The project's ``id``, by which it is known where it has moved.
    """
    outside = [path for path in paths if not lies_in(path, folder)]
    _keep_in(_memory(folder), folder, set(map(_real, outside)))
    if outside and (memory := _memory_of(identity)) is not None:
        _keep_in(memory, folder, {content for path in outside if (content := _content(path))})


def recognise(folder: Path, paths: Iterable[Path], identity: object) -> None:
    """Confirm those of some files that hold what this project was given on this computer before it, or they, moved."""
    memory = _memory_of(identity)
    if memory is not None and (known := _kept_in(memory)):
        confirm(folder, [path for path in paths if _content(path) in known])


def _memory_of(identity: object) -> Path | None:
    return remembered_in() / f"id-{identity}.json" if isinstance(identity, str) and _ID.fullmatch(identity) else None


def _content(path: Path) -> str:
    """Return what names the content of a file or of a cube's folder; nothing of what is neither."""
    try:
        return files.fingerprint(path) if path.is_file() else str(files.folder_fingerprint(path)["hash"]) if path.is_dir() else ""
    except OSError:
        return ""


def refused(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return those of some files that may not be read for a project."""
    outside = [path for path in dict.fromkeys(paths) if not lies_in(path, folder)]
    known = _kept_in(_memory(folder)) if outside else set()
    return [path for path in outside if not known.intersection((_real(path), *map(str, Path(_real(path)).parents)))]


def require(folder: Path, *paths: Path) -> None:
    """Raise `UntrustedError` when a file lies outside a project folder and was neither given to it on this computer nor confirmed."""
    missing = refused(folder, paths)
    if missing:
        raise UntrustedError(folder, tuple(missing))


def confirm_script(folder: Path, script: Path) -> None:
    """Remember that a script in a project folder was written on this computer, so that it may be run."""
    _keep_in(_memory(folder), folder, {_script(script)})


def is_own_script(folder: Path, script: Path) -> bool:
    """Tell whether a script in a project folder was written on this computer, or was confirmed."""
    return _script(script) in _kept_in(_memory(folder))


def _script(path: Path) -> str:
    return f"run:{_real(path)}"


# -- links ------------------------------------------------------------------------------------------------------------------


def links_out(folder: Path) -> list[Path]:
    """Return the links among what the program keeps in a project folder that lead out of it."""
    top = [entry for entry in _entries(folder) if entry.name in _KEPT or entry.name.endswith(".json")]
    return sorted(link for link in _links(top) if not lies_in(link, folder))


def links_below(folder: Path) -> list[Path]:
    """Return all links in a folder; none of a file."""
    return sorted(_links(_entries(folder))) if folder.is_dir() else []


def _links(waiting: list[os.DirEntry[str]]) -> Iterator[Path]:
    while waiting:
        entry = waiting.pop()
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir():
            waiting += _entries(Path(entry.path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []  # what cannot be listed cannot be read either
