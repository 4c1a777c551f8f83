"""Figures of methods over repeated folds and seeds: means, intervals, paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from napari_hsi_ssl.metrics.paired import PairedTest, corrected_t_test

FIGURES: Final = ("oa", "aa", "kappa")
_LEAST: Final = {"oa": 0.0, "aa": 0.0, "kappa": -1.0}

Results = Sequence[dict[str, Any]]
"""Each with ``key``, ``name``, ``fold``, ``seed``, ``n_train``, ``n_test``, ``seconds`` and `FIGURES`."""


def summarise(results: Results, reference: str) -> list[dict[str, Any]]:
    """Summarise results by method and compare each with a reference on the same folds.

    Seeds of one fold are averaged first. Over several folds intervals and tests are those of the corrected resampled t-test, because training sets of
    repeated folds overlap; of one fold alone they are those of Student's t over the seeds, and say how far the seed matters, not the split.

    Parameters
    ----------
    results : sequence of dict
    reference : str
        Key of the method that the others are compared with.

    Returns
    -------
    list of dict
        A row a method, in the order of their first result: ``key``, ``name``, each figure's mean and its 95 % interval (``oa``, ``oa_interval``, …;
        None where there is one result), ``difference`` (OA minus that of the reference), ``difference_interval``, ``p``, the same of AA
        (``aa_difference``, ``aa_difference_interval``, ``aa_p``; None for the reference itself), ``seconds`` (mean), ``folds``, ``seeds``, and
        ``chosen`` (what a choice came to, by fold) where it was one.
    """
    keys = list(dict.fromkeys(result["key"] for result in results))
    by_key = {key: [result for result in results if result["key"] == key] for key in keys}
    several = len({result["fold"] for result in results}) > 1
    share = float(np.mean([result["n_test"] / result["n_train"] for result in results])) if several else 0.0
    rows = []
    for key, own in by_key.items():
        row: dict[str, Any] = {"key": key, "name": own[0]["name"]}
        for figure in FIGURES:
            values = np.array(list(_values(own, figure, several).values()))
            row[figure] = float(values.mean())
            interval = _interval(corrected_t_test(values, np.zeros_like(values), share)) if values.size > 1 else None
            row[f"{figure}_interval"] = None if interval is None else [max(_LEAST[figure], interval[0]), min(1.0, interval[1])]
        for figure, prefix in (("oa", ""), ("aa", "aa_")):
            test = None if key == reference or reference not in by_key else _paired(own, by_key[reference], figure, share, several=several)
            row |= {
                f"{prefix}difference": None if test is None else test.difference,
                f"{prefix}difference_interval": None if test is None else _interval(test),
                f"{prefix}p": None if test is None else test.p,
            }
        row["seconds"] = float(np.mean([result["seconds"] for result in own]))
        row["folds"], row["seeds"] = len({result["fold"] for result in own}), len({result["seed"] for result in own})
        chosen = {result["fold"]: result["chosen"] for result in own if "chosen" in result}
        rows.append({**row, **({"chosen": chosen} if chosen else {})})
    return rows


def _values(results: Results, figure: str, several: bool) -> dict[Any, float]:
    """Return the figure by fold, the mean over its seeds, or by seed where there is one fold."""
    by = "fold" if several else "seed"
    places = list(dict.fromkeys(result[by] for result in results))
    return {place: float(np.mean([result[figure] for result in results if result[by] == place])) for place in places}


def _paired(own: Results, others: Results, figure: str, share: float, *, several: bool) -> PairedTest | None:
    first, second = _values(own, figure, several), _values(others, figure, several)
    if not several:  # a method without draws has one result, which stands for every seed
        first, second = (side if len(side) > 1 else dict.fromkeys(first | second, next(iter(side.values()))) for side in (first, second))
    both = [place for place in first if place in second]
    if len(both) < 2:
        return None
    return corrected_t_test([first[place] for place in both], [second[place] for place in both], share)


def _interval(test: PairedTest) -> list[float]:
    return [test.low, test.high]
