"""Names and colours of classes stay with their numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from napari_hsi_ssl.cubes.cube import Classes, palette


def test_without_chosen_colours_they_come_from_the_palette_in_order():
    assert Classes.of([9, 2, 5]).colours == palette(3)


def test_chosen_colours_stay_and_others_do_not_repeat_them():
    """Else a class painted blue turns orange when another one is added."""
    classes = Classes.of([1, 2, 3], {2: "leaf"}, {1: palette(2)[1], 3: "#123456"})
    assert classes.coloured == {1: palette(2)[1], 2: palette(1)[0], 3: "#123456"}
    assert classes.named == {1: "class 1", 2: "leaf", 3: "class 3"}


def test_some_of_the_classes_look_as_they_do_among_all():
    classes = Classes.of([1, 4, 7], {4: "leaf"})
    assert classes.chosen([7, 4]).coloured == {4: classes.colours[1], 7: classes.colours[2]}
    assert classes.chosen([7, 4]).names == ("leaf", "class 7")


@given(some.lists(some.integers(1, 255), unique=True, max_size=60))
def test_every_class_has_a_colour_whatever_is_chosen(numbers):
    chosen = {number: palette(number)[-1] for number in numbers[::2]}
    classes = Classes.of(numbers, colours=chosen)
    assert len(classes.colours) == len(numbers)
    assert all(classes.coloured[number] == colour for number, colour in chosen.items())
