"""What all settings have in common: frozen, hashable, a JSON round trip that refuses unknown keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from napari_hsi_ssl import limits
from napari_hsi_ssl.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SCHEMA_VERSION: Final = 1
"""Version of every JSON file this package writes; raised when a reader must know the difference."""


class Settings(BaseModel):
    """A frozen, hashable set of settings that survives a round trip through JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
            clause = in_words(error)
            remedy = "" if ";" in clause else "; correct it"
            raise ConfigError(f"{where}: {clause}{remedy}.") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the settings from a JSON file."""
        return cls.parse(read_json(path), str(path))

    def changed(self, changes: Mapping[str, Any], where: str = "the settings") -> Self:
        """Return the settings with changes; where a field holds settings itself, a mapping changes only what it names."""
        plain = self.model_dump()
        inner = {name: {**plain[name], **value} for name, value in changes.items() if isinstance(value, Mapping) and isinstance(plain.get(name), dict)}
        return self.parse({**plain, **changes, **inner}, where)

    def digest(self) -> str:
        """Return 12 hexadecimal digits that name these settings."""
        return digest(self.model_dump(mode="json"))


def in_words(error: ValidationError) -> str:
    """Return what the first error of a validation says, as a clause."""
    return _clause(error.errors()[0])


def _clause(error: ErrorDetails) -> str:
    """Return what one error of a validation says, in the words of whoever wrote the settings."""
    field, found, words = ".".join(str(part) for part in error["loc"]), error.get("input"), error["msg"]
    if error["type"] == "value_error":
        # A validator of ours has written a clause that says what was found; one that looks at several fields names them itself.
        clause = words.removeprefix("Value error, ").rstrip(".")
        of_several = isinstance(found, dict | BaseModel)
        return clause if not field else f"in '{field}', {clause}" if of_several else f"field '{field}' is {found!r}, but {clause}"
    if error["type"] == "extra_forbidden":
        return f"there is no field '{field}' (it is {found!r}); correct its name or leave it out"
    if error["type"] == "missing":
        return f"field '{field}' is missing; add it"
    if error["type"].startswith("union_tag"):
        context = error["ctx"]
        name = context["discriminator"].strip("'")
        given = f"is {context['tag']!r}" if "tag" in context else "is missing"
        return f"field '{field}.{name}' {given}" + (f", expected one of {context['expected_tags']}" if "expected_tags" in context else "; add it")
    return f"field '{field or 'settings'}' is {found!r}, but {words.replace('Input should', 'it should', 1)}"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from ``path``, with one clear sentence when it is none.

    pydantic's reader refuses what Python's own would hand on to trip over later: values nested without end, and halves of letters.
    """
    try:
        content = limits.json_bytes(path, ConfigError)
        if b"\\u0000" in content:
            raise ConfigError(f"{path} holds the letter of number 0, expected a JSON text as this program writes; restore it from a copy.")
        value = from_json(content)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); restore it from a copy or make it again.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} holds a JSON {type(value).__name__}, expected an object; restore it from a copy.")
    return value


def digest(value: object) -> str:
    """Return 12 hexadecimal digits that depend on the content of a JSON-able value alone."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
