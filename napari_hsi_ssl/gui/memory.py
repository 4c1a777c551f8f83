"""What the window remembers between starts: settings of the forms, folders of the file dialogs, recent projects, the open plot.

One small JSON file. Nothing depends on it: a file that is damaged or cannot be written costs what was remembered and one warning.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs
from qtpy.QtCore import QCoreApplication, QObject, QTimer

from napari_hsi_ssl.gui.desk import Desk

_log = logging.getLogger(__name__)

PLACE = "HSI_SETTINGS"
"""Environment variable that names another file."""
RECENT = 8
_PAUSE_MS = 400
_VERSION = 1


def settings_path() -> Path:
    """Return where the window's memory lies."""
    given = os.environ.get(PLACE)
    return Path(given) if given else Path(platformdirs.user_config_dir("napari-hsi-ssl")) / "window.json"


class Memory(QObject):
    """What one window remembers; read once, written shortly after a change. One a desk: use `memory_for`.

    Attributes
    ----------
    path : Path
    trouble : str
        What went wrong with the file, in one sentence; "" when nothing did.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.path = settings_path()
        self.trouble = ""
        self._content = self._read()
        self._changed: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self.save)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.save)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            self._tell(f"The window's settings in {self.path} cannot be read ({_reason(error)}): it starts with the defaults.")
            return {}
        if not isinstance(content, dict):
            self._tell(f"The window's settings in {self.path} are no JSON object: it starts with the defaults.")
            return {}
        return content

    def _tell(self, sentence: str) -> None:
        if not self.trouble:
            self.trouble = sentence
            _log.warning(sentence)

    def get(self, section: str, key: str) -> Any:  # noqa: ANN401 - whatever JSON carries; the caller judges it
        """Return what was remembered, or None."""
        part = self._content.get(section)
        return part.get(key) if isinstance(part, dict) else None

    def put(self, section: str, key: str, value: Any) -> None:  # noqa: ANN401 - whatever JSON carries
        """Remember a value; None forgets it."""
        part = self._content.get(section)
        if not isinstance(part, dict):
            part = self._content[section] = {}
        if part.get(key) == value:
            return
        if value is None:
            part.pop(key, None)
        else:
            part[key] = value
        self._changed.add(section)
        self._timer.start()

    def save(self) -> None:
        """Write what has changed, and leave what another window wrote meanwhile."""
        self._timer.stop()
        if not self._changed:
            return
        merged: dict[str, Any] = {}
        with suppress(OSError, ValueError, RecursionError):
            on_disk = json.loads(self.path.read_text(encoding="utf-8"))
            merged = on_disk if isinstance(on_disk, dict) else {}
        merged.update({section: self._content[section] for section in self._changed}, version=_VERSION)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Not forced to the disk as the project's files are: it would hold the window up, and little would be lost.
            temporary.write_text(json.dumps(merged, indent=1), encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            self._tell(f"The window's settings cannot be kept in {self.path} ({_reason(error)}); all else works.")
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._changed.clear()

    # -- what there is to remember ----------------------------------------------------------------------------------------

    def folder(self, what: str) -> str:
        """Return the folder that a file dialog was last used in; "" when there is none any more."""
        kept = self.get("folders", what)
        return kept if isinstance(kept, str) and Path(kept).is_dir() else ""

    def used(self, what: str, path: Path) -> None:
        """Remember where a file dialog found something."""
        self.put("folders", what, str(path.absolute().parent))

    @property
    def recent(self) -> list[Path]:
        """The projects that were open last and are still there, the latest first."""
        kept = self.get("projects", "recent")
        names = [name for name in kept if isinstance(name, str)] if isinstance(kept, list) else []
        return [Path(name) for name in names if (Path(name) / "project.json").is_file()]

    def opened(self, folder: Path) -> None:
        """Remember a project as the one opened last."""
        name = str(folder.absolute())
        kept = self.get("projects", "recent")
        others = [other for other in kept if isinstance(other, str) and other != name] if isinstance(kept, list) else []
        self.put("projects", "recent", [name, *others][:RECENT])


def memory_for(desk: Desk) -> Memory:
    """Return the memory of a desk, the same one at every call."""
    return desk.findChild(Memory) or Memory(desk)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
