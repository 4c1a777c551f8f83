"""Texts of options become values, or a sentence that says which words they take."""

from __future__ import annotations

import pytest
import typer

from napari_hsi_ssl.cli.options import numbers, one_of, pairs, panel_given, several, source_given, strengths, times_given


def test_a_word_is_one_of_those_that_an_option_takes():
    assert one_of("F", ("C", "F"), "--order") == "F"
    with pytest.raises(typer.BadParameter, match=r"^'maybe' is not auto, yes or no$") as error:
        one_of("maybe", ("auto", "yes", "no"), "--water")
    assert error.value.param_hint == "--water"


def test_numbers_are_as_many_as_asked_for():
    assert numbers("3,4x5", 3, "--shape") == (3, 4, 5)
    assert numbers(None, 3, "--shape") is None
    with pytest.raises(typer.BadParameter, match="holds 2 numbers, expected 3"):
        numbers("3,4", 3, "--shape")
    with pytest.raises(typer.BadParameter, match="is not 3 whole numbers"):
        numbers("3,4,a", 3, "--shape")
    assert (several("", "--bands"), several(None, "--bands"), several("1,2", "--bands")) == ((), None, (1, 2))


def test_exposure_times_may_be_left_empty():
    assert times_given("10,20") == (10.0, 20.0, None)
    assert times_given("10,,5") == (10.0, None, 5.0)
    assert times_given(None) is None
    for text, words in (("10", "holds 1 numbers"), ("a,b", "is not two or three numbers")):
        with pytest.raises(typer.BadParameter, match=words):
            times_given(text)


def test_pairs_have_two_sides():
    assert {cube: path.name for cube, path in pairs(["a=b.tif", "c=d=e.tif"], "--train").items()} == {"a": "b.tif", "c": "d=e.tif"}
    assert strengths(["noise=0.5"]) == {"noise": "0.5"}
    assert strengths(None) is None
    for text in ("a", "=b", "a="):
        with pytest.raises(typer.BadParameter, match="CUBE=LABELS"):
            pairs([text], "--train")
        with pytest.raises(typer.BadParameter, match="VIEW=STRENGTH"):
            strengths([text])


def test_a_panel_is_a_fraction_or_a_file():
    assert panel_given("0.5") == 0.5
    assert str(panel_given("panel.csv")) == "panel.csv"
    assert panel_given(None) is None


def test_a_branch_needs_a_run_and_no_other_source(tmp_path):
    assert source_given("one", 3, resume=False, config=None)
    assert not source_given(None, None, resume=True, config=None)
    for given, words in (
        (("one", None, True, None), "leave out --resume"),
        (("one", None, False, tmp_path), "leave out --resume"),
        ((None, 3, False, None), "give --branch"),
    ):
        with pytest.raises(typer.BadParameter, match=words):
            source_given(*given)
