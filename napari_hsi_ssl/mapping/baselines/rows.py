"""The rows of a table of rivals: their names, words and what each needs. Imports nothing heavy, so that a window may list them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from napari_hsi_ssl.errors import ConfigError

Kind = Literal["plain", "cnn", "distil", "trunk", "choice"]
_INPUTS: Final = {"bands": "standardised bands", "pcs": "30 PCs"}
CHOSEN: Final = "chosen"
VARIANTS: Final = ("bands/1", "bands/3", "bands/5", "pcs/9")
"""Inputs and windows among which ``distil:chosen`` is chosen."""


@dataclass(frozen=True)
class Row:
    """One rival.

    Attributes
    ----------
    key : str
        As it is asked for; ``distil:bands/5`` is the key ``distil`` with an input and a window of its own, ``distil:chosen`` with those
        that do best on parts of the training labels.
    label, words : str
        Short, for narrow tables, and in full.
    kind : {"plain", "cnn", "distil", "trunk", "choice"}
        Plain ones need no torch. A choice stands for the one of `candidates` that does best on parts of the training labels.
    window : int
        Side in pixels of what it sees around a pixel; 0 where a run or the settings of self-distillation say so.
    seeded : bool
        Whether the seed changes the outcome.
    needs_run : bool
        Whether a pretrained run must be named.
    input : {"", "bands", "pcs"}
        Of a self-distillation network; "" is what its settings say.
    """

    key: str
    label: str
    words: str
    kind: Kind
    window: int
    seeded: bool = True
    needs_run: bool = False
    input: Literal["", "bands", "pcs"] = ""

    @property
    def base(self) -> str:
        """The key without input and window."""
        return self.key.partition(":")[0]

    @property
    def candidates(self) -> tuple[Row, ...]:
        """What a choice is made among; those that are judged, which for ``none:chosen`` are the ones with distillation."""
        if self.kind != "choice":
            return ()
        return tuple(map(row_of, OUTSIDE if self.base == "outside" else [f"distil:{variant}" for variant in VARIANTS]))

    def settled(self, chosen: str) -> Row:
        """Return what a choice stands for, given the key of the candidate that was chosen."""
        return row_of(chosen if self.base != "none" else chosen.replace("distil", "none", 1))


ROWS: Final = {
    row.key: row
    for row in (
        Row("position", "Position alone", "position alone (1-NN on row and column)", "plain", 1, seeded=False),
        Row("knn", "kNN", "kNN (k = 5) on standardised spectra", "plain", 1, seeded=False),
        Row("svm", "RBF SVM", "RBF SVM on standardised spectra", "plain", 1),
        Row("forest", "Random forest", "random forest on spectra", "plain", 1),
        Row("lda", "LDA, 5×5 mean", "shrinkage LDA on the 5×5 mean", "plain", 5, seeded=False),
        Row("trees", "Extra trees, means", "extremely randomised trees on 30 PCs and their 5×5, 9×9 and 15×15 means", "plain", 15),
        Row("svm-means", "SVM, PCs and mean", "RBF SVM on 30 PCs and their 15×15 mean", "plain", 15),
        Row("cnn1d", "1-D CNN", "1-D CNN on spectra (Hu et al. 2015)", "cnn", 1),
        Row("cnn2d", "2-D CNN", "2-D CNN on 5×5 windows of 30 PCs (Makantasis et al. 2015)", "cnn", 5),
        Row("cnn3d", "3-D CNN", "3-D CNN on 5×5 windows of all bands (Ben Hamida et al. 2018)", "cnn", 5),
        Row("outside", "Best from outside", "best rival from outside, chosen on parts of the training labels", "choice", 0),
        Row("none", "No distillation", "multi-exit network without distillation", "distil", 0),
        Row("distil", "Self-distillation", "multi-exit network with self-distillation", "distil", 0),
        Row("random", "Random trunk", "random trunk, frozen, with a linear head", "trunk", 0),
        Row("pretrained", "Pretrained trunk", "pretrained trunk, frozen, with a linear head", "trunk", 0, needs_run=True),
        Row("tuned", "Fine-tuned trunk", "pretrained trunk, fine-tuned with self-distillation", "trunk", 0, needs_run=True),
    )
}
"""By key, in the order of the table."""

QUICK: Final = tuple(key for key, row in ROWS.items() if row.kind == "plain")
"""Rows of seconds: what is shown where nothing else is asked for."""
OUTSIDE: Final = tuple(key for key, row in ROWS.items() if row.kind in ("plain", "cnn") and key != "position")
"""Rows that are none of this program's networks, and look at spectra."""


def row_of(text: str) -> Row:
    """Return the row of a key, such as ``svm``, ``distil``, ``distil:bands`` or ``none:pcs/9``.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    base, colon, variant = text.strip().partition(":")
    if base not in ROWS:
        raise ConfigError(f"there is no baseline '{base}', expected some of {', '.join(ROWS)}, quick or all.")
    row = ROWS[base]
    if not colon:
        return row
    if row.kind == "distil" and variant == CHOSEN:
        whose = "" if base == "distil" else " as for distil"
        words = f"{row.words}, input and window chosen on parts of the training labels{whose}"
        return replace(row, key=text.strip(), label=f"{row.label}, chosen", words=words, kind="choice")
    source, slash, window_text = variant.partition("/")
    if row.kind != "distil" or source not in _INPUTS or (slash and not (window_text.isdecimal() and int(window_text) > 0)):
        raise ConfigError(
            f"'{text}' names no row, expected a variant only of distil or none, such as distil:bands, distil:bands/5, none:pcs/9 or distil:chosen."
        )
    window = int(window_text) if slash else 0
    words = f"{row.words}, {_INPUTS[source]}" + (f", window {window}" if window else "")
    exact = source + (f"/{window}" if window else "")
    side: Literal["bands", "pcs"] = "bands" if source == "bands" else "pcs"
    return replace(row, key=f"{base}:{exact}", label=f"{row.label}, {exact}", words=words, window=window, input=side)


def rows_of(texts: Sequence[str], run: bool) -> tuple[Row, ...]:
    """Return the rows that were asked for, in that order; ``quick`` and ``all`` stand for several.

    Parameters
    ----------
    texts : sequence of str
    run : bool
        Whether a pretrained run is named; ``all`` leaves out what needs one otherwise.

    Raises
    ------
    ConfigError
        When a row is unknown, or needs a run that is not named.
    """
    found: dict[str, Row] = {}
    for text in texts:
        several = {"quick": QUICK, "all": tuple(key for key, row in ROWS.items() if run or not row.needs_run)}.get(text.strip())
        for row in map(row_of, several or (text,)):
            found[row.key] = row
    lacking = [row.key for row in found.values() if row.needs_run and not run]
    if lacking:
        raise ConfigError(f"row '{lacking[0]}' needs a pretrained run, but none is named; give one with --run RUN, or leave the row out.")
    if not found:
        raise ConfigError(f"no baseline is asked for, expected some of {', '.join(ROWS)}, quick or all.")
    return tuple(found.values())
