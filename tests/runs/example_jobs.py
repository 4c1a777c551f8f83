"""Jobs for the tests of the compute process."""

import os
import sys
import time

from napari_hsi_ssl.errors import ChoiceError, LabelError
from napari_hsi_ssl.progress import Progress


def add(first, second):
    yield Progress(1, 2, "half")
    return {"sum": first + second, "pid": os.getpid(), "nan": float("nan")}


def prints(words):
    print(words)  # noqa: T201 - that is the point
    os.write(1, words.encode() + b"\n")
    yield Progress(message=words)
    return {"read": sys.stdin.read()}


def dies(words):
    yield Progress(message="about to")
    os.write(2, words.encode())
    os._exit(7)


def raises(kind):
    yield Progress(message="about to")
    if kind == "label":
        raise LabelError("labels.tif has one class, expected two; label another class.")
    if kind == "choice":
        raise ChoiceError("a.mat", ("x", "y"))
    raise ZeroDivisionError("by nought")


def endless(path, pause=0.01):
    try:
        while True:
            time.sleep(pause)
            yield Progress(message="working")
    finally:
        with open(path, "w") as stream:
            stream.write("left")


def deaf():
    yield Progress(message="deaf")
    time.sleep(60)
    return {}


def modules():
    yield Progress()
    return {"torch": "torch" in sys.modules}


JOBS = {job.__name__: job for job in (add, prints, dies, raises, endless, deaf, modules)}
