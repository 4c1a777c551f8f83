"""Ways to damage a file that know what kind of file it is: JSON by its nodes, headers by their fields, everything else by its bytes."""

from __future__ import annotations

import json
import re
import struct
from typing import Any, Final

import numpy as np

Tree = dict[str, bytes]
"""The files of one input by their names within its folder."""

NASTY_TEXT: Final = (
    "", " ", "0", "-1", "1", "2", "7", "1e400", "-1e400", "nan", "inf", "-inf", "1e-320", "4294967296", "9223372036854775808", "9" * 30, "1_000", "0x10",
    "é", "\u202e", "中文", "💥",
    "\x00", "'", '"', "{", "}", "{}", "[]", ",", ",,,", "=", ";", "\t", "null", "None", "true", "../../x", "/etc/passwd", "a" * 5000,
    "bsq", "bip", "bil", "1.5", "1,5", "٣", "²", "½", "%s", "{0}", "#", "nm", "Micrometers", "Wavenumber", "eV", "index",
)  # fmt: skip
NASTY_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 7, 0.5, -0.0, 1e308, 1e-320, float("nan"), float("inf"), float("-inf"), 2**31, 2**32, 2**53 + 1, 2**63, 10**30, 10**400,
    "", "x", "é", "\ud800", "\x00", "../../x", "/etc/passwd", "1", "nan", "a" * 5000, [], {}, [[]], [None], [1, 2], [1, "a", None], {"a": 1}, {"": {}},
)  # fmt: skip
_NUMBERS: Final = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63)


def damaged(tree: Tree, random: np.random.Generator, focus: tuple[str, ...] = ()) -> Tree:
    """Return a tree with one to three damages in its files; those whose names hold a word of ``focus`` come up most."""
    result = dict(tree)
    names = sorted(result)
    chosen = [name for name in names if any(word in name for word in focus)] or names
    for _ in range(int(random.choice([1, 1, 1, 2, 3]))):
        name = str(random.choice(chosen if random.random() < 0.85 else names))
        if random.random() < 0.01:
            result.pop(name, None)
        elif name in result:
            result[name] = damage(result[name], random)
    return result


def damage(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file with one damage of a kind that suits it."""
    if random.random() < 0.25:
        return _bytes(content, random)
    if _is_text(content):
        stripped = content.lstrip()
        if stripped[:1] in b"{[" and stripped:
            return _lines_of_json(content, random) if stripped.count(b"\n{") else _json(content, random)
        return _text(content, random)
    embedded = content.find(b"{")
    if 0 <= embedded < 16 and random.random() < 0.6:  # safetensors, and .npy by its own header
        return _header_inside(content, random)
    return _bytes(content, random)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\x00" not in content


# -- JSON ------------------------------------------------------------------------------------------------------------------


def _json(content: bytes, random: np.random.Generator) -> bytes:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _text(content, random)
    if random.random() < 0.01:  # deeper than any reader of JSON goes
        return b'{"a":' * 3000 + content + b"}" * 3000
    return json.dumps(changed_node(value, random)).encode("utf-8", "surrogatepass")


def changed_node(value: Any, random: np.random.Generator) -> Any:
    """Return a JSON value with one of its nodes changed."""
    paths = list(_paths(value))
    path = paths[int(random.integers(len(paths)))]
    return _at(value, path, random)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if len(path) < 12:
        items = value.items() if isinstance(value, dict) else enumerate(value[:40]) if isinstance(value, list) else ()
        for key, item in items:
            yield from _paths(item, (*path, key))


def _at(value: Any, path: tuple[Any, ...], random: np.random.Generator) -> Any:
    if not path:
        return _other(value, random)
    key, rest = path[0], path[1:]
    copy = dict(value) if isinstance(value, dict) else list(value)
    if not rest and random.random() < 0.25:
        if isinstance(copy, dict) and random.random() < 0.5:
            copy[f"{key}x"] = copy.pop(key)
        elif isinstance(copy, list) and random.random() < 0.5:
            copy.insert(key, copy[key])
        else:
            del copy[key]
    else:
        copy[key] = _at(copy[key], rest, random)
    return copy


def _other(value: Any, random: np.random.Generator) -> Any:
    match int(random.integers(8)):
        case 0:
            deep: Any = value
            for _ in range(int(random.choice([1, 3, 60, 150]))):
                deep = [deep] if random.random() < 0.5 else {"a": deep}
            return deep
        case 1:
            return str(value)[:6000]
        case 2 if isinstance(value, int | float):
            return value * -1 if random.random() < 0.5 else value + 1
        case 2 if isinstance(value, str):
            return value + str(random.choice(NASTY_TEXT))
        case 3 if isinstance(value, list):
            return value * 2
        case _:
            return NASTY_VALUES[int(random.integers(len(NASTY_VALUES)))]


def _lines_of_json(content: bytes, random: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    match int(random.integers(6)):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[int(random.integers(len(lines)))])
        case 2:
            lines[place] = lines[place][: int(random.integers(len(lines[place]) + 1))]
        case _:
            lines[place] = _json(lines[place], random)
    return b"\n".join(lines)


# -- headers and tables ------------------------------------------------------------------------------------------------------


def _text(content: bytes, random: np.random.Generator) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    place = int(random.integers(len(lines)))
    word = str(random.choice(NASTY_TEXT))
    match int(random.integers(9)):
        case 0:
            del lines[place]
        case 1:
            lines.insert(place, lines[int(random.integers(len(lines)))])
        case 2:
            lines.insert(place, word)
        case 3:
            key, sign, _ = lines[place].partition("=")
            lines[place] = key + sign + " " + word
        case 4 | 5:
            tokens = list(re.finditer(r"[^\s,={}]+", lines[place]))
            if tokens:
                token = tokens[int(random.integers(len(tokens)))]
                lines[place] = lines[place][: token.start()] + word + lines[place][token.end() :]
        case 6:
            lines[place] = lines[place].swapcase()
        case 7:
            cut = int(random.integers(len(lines[place]) + 1))
            lines[place : place + 1] = [lines[place][:cut], lines[place][cut:]]
        case _:
            text = "\n".join(lines)
            return text.encode(str(random.choice(["utf-16", "utf-8-sig", "latin-1", "cp1252"])), "replace")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _header_inside(content: bytes, random: np.random.Generator) -> bytes:
    start, end = content.find(b"{"), content.find(b"}\n") + 1 if content[:6] == b"\x93NUMPY" else content.rfind(b"}", 0, 40_000) + 1
    if end <= start:
        return _bytes(content, random)
    head = content[start:end]
    if start == 8:  # safetensors: eight bytes of length, then JSON
        told = int.from_bytes(content[:8], "little")
        head = _json(content[8 : 8 + told], random)
        length = told if random.random() < 0.1 else len(head)
        return length.to_bytes(8, "little") + head + content[8 + told :]
    new = _text(head, random)
    if len(new) <= len(head):
        new = new.ljust(len(head))  # the length that is told before it stays true
    return content[:start] + new + content[end:]


# -- bytes -------------------------------------------------------------------------------------------------------------------


def _bytes(content: bytes, random: np.random.Generator) -> bytes:
    result = bytearray(content)
    # Descriptions of data mostly stand in front; some formats have them at the end.
    reach = min(len(result), int(random.choice([32, 256, 2048, len(result) or 1])))
    place = int(random.integers(reach + 1))
    if random.random() < 0.15:
        place = max(0, len(result) - place)
    match int(random.integers(8)):
        case 0 if place < len(result):
            result[place] ^= 1 << int(random.integers(8))
        case 1 if place < len(result):
            result[place] = int(random.integers(256))
        case 2:
            del result[place : place + int(random.integers(1, 17))]
        case 3:
            result[place:place] = bytes(random.integers(0, 256, int(random.integers(1, 9)), dtype=np.uint8))
        case 4:
            del result[place:]
        case 5:
            width = int(random.choice([1, 2, 4, 8]))
            number = _NUMBERS[int(random.integers(len(_NUMBERS)))] % 2 ** (8 * width)
            sign = "<" if random.random() < 0.7 else ">"
            place -= place % width
            result[place : place + width] = struct.pack(sign + {1: "B", 2: "H", 4: "I", 8: "Q"}[width], number)
        case 6:
            begin, length = int(random.integers(len(result) + 1)), int(random.integers(1, 65))
            result[place : place + length] = result[begin : begin + length]
        case _:
            length = int(random.integers(1, 65))
            result[place : place + length] = bytes([int(random.choice([0, 255]))]) * length
    return bytes(result)
