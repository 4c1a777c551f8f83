"""The errors a user can meet; every message is one sentence that says what to do.

A message names the file, the field or the option, what was found, what was expected, and the remedy.
"""

from __future__ import annotations

import shlex
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Final

_NAMED: Final = 4
"""Files that a message lists by name."""


DAMAGE: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What other libraries raise on damaged files. An `HsiError` that is raised in between passes."""

_LONGEST: Final = 1200
"""Letters of a message: what a file holds may be quoted in it, and a file may hold anything."""


class HsiError(Exception):
    """Base of every error this package raises on purpose; its message is one line of signs that any terminal can show."""

    def __init__(self, message: str = "") -> None:
        line = "".join(sign if sign.isprintable() else "�" for sign in " ".join(message.splitlines()))
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}")


class CubeError(HsiError):
    """A file or an array is not a usable hyperspectral cube."""


class ChoiceError(CubeError):
    """A file holds several arrays that could be the cube, and the user must say which.

    Attributes
    ----------
    candidates : tuple of str
        The names to choose from, best guess first.
    """

    def __init__(self, path: str | Path, candidates: tuple[str, ...], what: str = "a cube") -> None:
        self.path = Path(path)
        self.candidates = candidates
        listed = ", ".join(candidates)
        beside = "" if what == "a cube" else f", or write {self.path.name}#NAME"
        super().__init__(f"{self.path} holds several arrays that could be {what} ({listed}); choose one with --key NAME{beside}.")


class LabelError(HsiError):
    """Labels do not fit the cube, the split or the model."""


class ConfigError(HsiError):
    """A setting, an option or a configuration file is wrong."""


class ProjectError(HsiError):
    """The project folder lacks something, or holds something that does not fit."""


class UntrustedError(ProjectError):
    """A project names files outside its folder that were neither given to it on this computer nor confirmed.

    Attributes
    ----------
    project : Path
    paths : tuple of Path
    """

    def __init__(self, project: Path, paths: tuple[Path, ...]) -> None:
        self.project, self.paths = project, paths
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        listed = ", ".join(map(str, paths[:_NAMED])) + more
        super().__init__(
            f"project {project.name} names {'a file' if len(paths) == 1 else 'files'} outside its folder that nobody gave it on this computer ({listed}); "
            f"if it may read {'it' if len(paths) == 1 else 'them'}, say so with `napari-hsi-ssl trust {shlex.quote(str(project))}`."
        )

    def __reduce__(self) -> tuple[type[UntrustedError], tuple[Path, tuple[Path, ...]]]:
        """Carry it to another process as what it was made of."""
        return type(self), (self.project, self.paths)


class ProjectChangedError(ProjectError):
    """Another window or command has changed the project since it was read, so nothing was written; it has been read again."""


class RunError(HsiError):
    """A training run, its folder or its checkpoint cannot be used."""


class CancelledError(HsiError):
    """The user cancelled; what was finished is on disk."""


class HsiWarning(UserWarning):
    """Something in a file was doubtful and was read in the way the message says."""
