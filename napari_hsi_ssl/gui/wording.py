"""Sentences of the steps as they read in the window: commands become forms, options the fields that stand for them."""

from __future__ import annotations

import re
from typing import Final

_FORMS: Final = {
    "new": "1 Cubes", "add": "1 Cubes", "trust": "1 Cubes",
    "crop": "1 Cubes", "mask": "2 Mask", "labels": "2 Mask, Labels", "pca": "3 Explore", "patches": "4 Patches",
    "pretrain": "5 Train", "distil": "5 Train", "runs": "5 Train", "classify": "6 Classify", "paint": "6 Classify, Paint", "evaluate": "6 Classify",
}  # fmt: skip
FIELDS: Final = {
    "kind": "Look", "source": "Image", "features": "Compare", "grid": "Band grid", "weights": "Weigh by", "denoise": "Denoise radius",
    "coverage": "Least foreground", "per-domain": "Patches a domain", "test-share": "Held out", "guard": "Guard (px)", "block": "Block (px)",
    "k": "Neighbours", "references": "Reference pixels", "freeze": "Train only the exits", "init": "Start from", "direction": "Who teaches",
    "memory": "Memory (MiB)", "workers": "Cubes side by side",
}  # fmt: skip
"""Fields that are called otherwise than their option."""
_CHOICES: Final = {
    "kind": {"true": "true colour", "false": "false colour", "bands": "three bands", "band": "one band", "default": "header's bands", "auto": "automatic"},
    "scale": {"standardise": "standardise", "snv": "SNV", "none": "none"},
    "grid": {"index": "by band number", "wavelength": "by wavelength"},
    "source": {"brightness": "brightness", "band": "band", "pc1": "component 1"},
    "method": {"threshold": "between two values", "otsu": "Otsu threshold", "knn": "kNN", "linear": "linear probe", "pca": "PCA", "mnf": "MNF"},
}
"""What the window calls the choices of such a field."""


def _options() -> re.Pattern[str]:
    """Return what finds an option with the choices or the metavariable after it; what stands between backticks is passed over."""
    parts = []
    for option, choices in _CHOICES.items():
        word = rf"(?:{'|'.join(sorted(choices, key=len, reverse=True))})\b"
        parts.append(rf"{option}\b(?: {word}(?:, {word})*(?: or {word})?)?")
    parts.append(r"[a-z]+(?:-[a-z]+)*\b(?: [A-Z]+(?:[,=][A-Z]+)*\b)?")
    return re.compile(rf"`[^`]*`|(?<![\w-])--({'|'.join(parts)})(?![\w-])")


_OPTIONS: Final = _options()


def in_window(sentence: str) -> str:
    """Replace commands that a message recommends by the forms that do it, and options by the fields of the window.

    >>> in_window("use a smaller --size")
    'use a smaller “Size”'
    >>> in_window("use --scale standardise or --scale snv.")
    'use “Scale: standardise” or “Scale: SNV”.'
    """

    def form(found: re.Match[str]) -> str:
        name = _FORMS.get(found.group(1))
        return f"the form “{name}”" if name else found.group(0)

    def field(found: re.Match[str]) -> str:
        if found.group(1) is None:
            return found.group(0)
        option, _, value = found.group(1).partition(" ")
        name = FIELDS.get(option, option.replace("-", " ").capitalize())
        choices = _CHOICES.get(option, {})
        meant = re.sub(r"[a-z0-9]+", lambda word: choices.get(word.group(0), word.group(0)), value) if value and not value.isupper() else ""
        return f"“{name}: {meant}”" if meant else f"“{name}”"

    return _OPTIONS.sub(field, re.sub(r"`napari-hsi-ssl (\w+)[^`]*`", form, sentence))
