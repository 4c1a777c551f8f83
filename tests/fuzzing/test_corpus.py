"""Every input that once crashed a reader, misled it or made it ask for gigabytes: it must be read or refused in a sentence.

A folder of ``corpus/TARGET`` is one input, as `benchmarks.fuzzing` found it; what lies in large folders is made here instead.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.fuzzing.targets import read_tree, seeds_of
from benchmarks.fuzzing.trial import tried

CORPUS = Path(__file__).with_name("corpus")
# Of inputs of several files, the one that is opened.
ENTRIES = ("cube.hdr", "references.json", "lib.sli", "labels.tif", "cube.zarr")


def entry_of(folder: Path) -> str:
    names = [path.name for path in folder.iterdir()]
    return names[0] if len(names) == 1 else next(name for name in ENTRIES[::-1] if name in names and (name != "cube.hdr" or "references.json" not in names))


@pytest.mark.parametrize("folder", sorted(CORPUS.glob("*/*")), ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_what_was_found_stays_fixed(folder):
    outcome = tried(folder.parent.name, read_tree(folder), entry_of(folder))
    assert outcome.verdict in {"accepted", "refused"}, outcome.sentence


def test_every_target_of_the_corpus_is_there():
    assert len(list(CORPUS.glob("*/*"))) >= 30


def changed(tree, name, *changes):
    """Change values of a JSON file in a tree: each change is a path of keys and the value to put there."""
    content = json.loads(tree[name])
    for *keys, last, value in changes:
        inner = content
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return {**tree, name: json.dumps(content).encode()}


def with_event(tree, **event):
    name = "project/runs/r/events.jsonl"
    return {**tree, name: tree[name] + json.dumps(event).encode() + b"\n"}


ENTRY = ("project/project.json", "cubes", 0)
CHANGES = {
    "shape of text": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "shape", ["x", 5, 6])),
    "shape of two": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "shape", [4, 5])),
    "crop of one": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "crop", [1])),
    "crop of text": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "crop", ["a", 0, 1, 1])),
    "crop beyond the cube": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "crop", [0, 0, 99, 99])),
    "raw of another build": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "raw", {"shape": ["a", 1, 1], "order": ["C"]})),
    "nested without end": lambda tree: {**tree, ENTRY[0]: b'{"a":' * 2000 + tree[ENTRY[0]] + b"}" * 2000},
    "an infinite band": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "bad_bands", [float("inf")])),
    "a calibration of numbers": lambda tree: changed(tree, ENTRY[0], (*ENTRY[1:], "calibration", {"white": 5, "exposure": 3})),
    "classes without names": lambda tree: {**tree, "project/labels/classes.json": b'{"numbers": [1], "colours": ["#ffffff"]}'},
    "classes of infinite numbers": lambda tree: {**tree, "project/labels/classes.json": b'{"numbers": [Infinity], "names": ["a"], "colours": ["#ffffff"]}'},
    "classes of lists": lambda tree: {**tree, "project/labels/classes.json": b'{"numbers": [[]], "names": ["a"], "colours": ["#ffffff"]}'},
    "a mask that no codec unpacks": lambda tree: {**tree, "project/masks/one.tif": tree["project/masks/one.tif"].replace(b"\x78\x9c", b"\x79\x00")},
    "scores cut off": lambda tree: {name: content[:12] if name.endswith("/one.npy") else content for name, content in tree.items()},
    "a split of objects": lambda tree: changed(tree, "project/preprocessing.json", ("split", "train", {"one": {"a": 1}})),
    "a throughput of text": lambda tree: with_event(tree, type="step", step=5, throughput="fast"),
    "a step of text": lambda tree: with_event(tree, type="resumed", step="five"),
    "an event of a number": lambda tree: with_event(tree, type=5),
    "seconds without end": lambda tree: with_event(tree, type="step", step=5, seconds_left=1e308 * 10),
    "a launch by a text": lambda tree: with_event(tree, type="launched", host="localhost", pid="x", started=0),
    "hashes of a text": lambda tree: changed(tree, "project/maps/one--r--knn.json", ("provenance", "labels_sha256", "{}")),
    "a mask of pages in a circle": lambda tree: {**tree, "project/masks/one.tif": (CORPUS / "tiff" / "pages-in-a-circle" / "cube.tif").read_bytes()},
    "a lock since ever": lambda tree: changed(tree, "project/lock.json", ("since", 1e300)),
    "a lock by a list": lambda tree: changed(tree, "project/lock.json", ("pid", [])),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_found_in_projects_stays_fixed(change):
    (tree, entry), *_ = seeds_of("project", 0)
    outcome = tried("project", CHANGES[change](tree), entry)
    assert outcome.verdict in {"accepted", "refused"}, outcome.sentence


def test_the_project_that_is_damaged_is_a_valid_one():
    """Else all of the above would be refused for another reason."""
    (tree, entry), *_ = seeds_of("project", 0)
    assert tried("project", tree, entry).verdict == "accepted"
