"""What all settings have in common: frozen, hashable, a JSON round trip that refuses unknown keys."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_hsi_ssl.errors import ConfigError

SCHEMA_VERSION: Final = 1
"""Version of every JSON file this package writes; raised when a reader must know the difference."""


class Settings(BaseModel):
    """A frozen, hashable set of settings that survives a round trip through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    @classmethod
    def parse(cls, values: dict[str, Any], where: str = "the settings") -> Self:
        """Build the settings from plain values.

        Raises
        ------
        ConfigError
            When a key is unknown or a value is out of range; the message names field, value and range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "settings"
            found = first.get("input")
            raise ConfigError(f"{where}: field '{field}' is {found!r}, but {first['msg'].lower()}.") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the settings from a JSON file."""
        return cls.parse(read_json(path), str(path))

    def digest(self) -> str:
        """Return 12 hexadecimal digits that name these settings."""
        return digest(self.model_dump(mode="json"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from ``path``, with one clear sentence when it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; check the path.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); restore it from a copy or make it again.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds a JSON {type(value).__name__}, expected an object; restore it from a copy.")
    return value


def digest(value: object) -> str:
    """Return 12 hexadecimal digits that depend on the content of a JSON-able value alone."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
