"""The errors a user can meet; every message is one sentence that says what to do.

A message names the file, the field or the option, what was found, what was expected, and the remedy.
"""

from __future__ import annotations

from pathlib import Path


class HsiError(Exception):
    """Base of every error this package raises on purpose."""


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


class ProjectChangedError(ProjectError):
    """Another window or command has changed the project since it was read, so nothing was written; it has been read again."""


class RunError(HsiError):
    """A training run, its folder or its checkpoint cannot be used."""


class CancelledError(HsiError):
    """The user cancelled; what was finished is on disk."""


class HsiWarning(UserWarning):
    """Something in a file was doubtful and was read in the way the message says."""
