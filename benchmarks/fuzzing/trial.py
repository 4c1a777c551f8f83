"""One input on trial: what becomes of it, within limits of time and memory."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.fuzzing.checks import Wrong, check_sentence
from benchmarks.fuzzing.mutations import Tree
from benchmarks.fuzzing.targets import BY_NAME, write_tree
from napari_hsi_ssl.errors import HsiError, HsiWarning

HANG_SECONDS: Final = 2.0
"""Of processor time, so that a busy machine makes no hang."""
MEMORY_BYTES: Final = 10**9

Verdict = Literal["accepted", "refused", "crash", "wrong", "hang", "memory"]


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes
    ----------
    verdict : str
    sentence : str
        Of a refusal, or the traceback of a failure.
    place : str
        Where a failure was raised, which tells one bug from another.
    seconds : float
        Of processor time.
    strays : tuple of str
        Warnings that are not this package's own.
    """

    verdict: Verdict
    sentence: str = ""
    place: str = ""
    seconds: float = 0.0
    strays: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)


def limit_memory() -> None:
    """Let this process take no more than the limit on top of what it has mapped now."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


def tried(name: str, tree: Tree, entry: str) -> Outcome:
    """Read one input and judge what comes of it."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    os.environ["HSI_TRUST"] = str(folder / "trust")  # what projects may read is none of the user's own notes
    begun = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            write_tree(folder, tree)
            BY_NAME[name].check(folder / entry)
            found = Outcome("accepted")
        except HsiError as error:
            found = _refused(error, folder)
        except Wrong as error:
            found = Outcome("wrong", f"{error}\n{traceback.format_exc()}", f"Wrong at {_place(error)}: {str(error)[:40]}")
        except MemoryError as error:
            found = Outcome("memory", traceback.format_exc(), f"MemoryError at {_place(error)}")
        except Exception as error:  # noqa: BLE001 - whatever else comes is what is looked for
            found = Outcome("crash", traceback.format_exc(), f"{type(error).__name__} at {_place(error)}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    seconds = time.process_time() - begun
    if found.verdict in {"accepted", "refused"} and seconds > HANG_SECONDS:
        found = Outcome("hang", found.sentence, f"slow {name}")
    strays = tuple(sorted({f"{one.category.__name__}: {str(one.message)[:100]}" for one in caught if not issubclass(one.category, HsiWarning)}))
    return Outcome(found.verdict, found.sentence, found.place, seconds, strays)


def _refused(error: HsiError, folder: Path) -> Outcome:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):  # the reader asked for more than the limit, which another computer might have granted
            return Outcome("memory", traceback.format_exc(), f"MemoryError at {_place(cause)}")
        cause = cause.__cause__ or cause.__context__
    try:
        check_sentence(error)
    except Wrong as wrong:
        return Outcome("wrong", f"{wrong}\n{traceback.format_exc()}", f"sentence at {_place(error)}")
    return Outcome("refused", str(error).replace(str(folder), "…"))


def _place(error: BaseException) -> str:
    """Return the last line of this package that an error went through, and the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "an unknown place"
    own, last = ([frame for frame in frames if "napari_hsi_ssl" in frame.filename] or frames)[-1], frames[-1]
    return f"{Path(own.filename).name}:{own.name}:{own.line} < {Path(last.filename).name}:{last.name}"
