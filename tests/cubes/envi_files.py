"""ENVI files written by hand, so that reading is not tested against our own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE_ORDER = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


def write(folder, cube, *, interleave="bsq", number=12, big=False, offset=0, name="image", ending=".dat", header_name=None, **fields) -> Path:
    """Write a cube (y, x, band) and return its header; a field given as None is left out."""
    kinds = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
    stored = np.ascontiguousarray(cube.transpose(FILE_ORDER[interleave])).astype((">" if big else "<") + kinds[number])
    (folder / f"{name}{ending}").write_bytes(b"\xab" * offset + stored.tobytes())
    height, width, bands = cube.shape
    content = {
        "samples": width,
        "lines": height,
        "bands": bands,
        "header offset": offset,
        "file type": "ENVI Standard",
        "data type": number,
        "interleave": interleave,
        "byte order": int(big),
        **{key.replace("_", " "): value for key, value in fields.items()},
    }
    text = "ENVI\n" + "".join(f"{key} = {value}\n" for key, value in content.items() if value is not None)
    header = folder / (header_name or f"{name}.hdr")
    header.write_text(text, encoding="utf-8")
    return header


def braces(values) -> str:
    """Write a list as a header has it."""
    return "{" + ", ".join(map(str, values)) + "}"
