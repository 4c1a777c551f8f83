"""The patch index: addresses, coverage, splits that do not leak, caps and files."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hsi_ssl.config import PatchConfig
from napari_hsi_ssl.errors import ConfigError, ProjectError
from napari_hsi_ssl.patches.index import PatchIndex, PatchSource, build_index


def full(name, domain, height, width):
    return PatchSource(name, domain, np.ones((height, width), dtype=bool))


def pixels(index, cube, code, shape):
    """Mark every pixel that a patch of one split touches, by the definition of a window."""
    touched = np.zeros(shape, dtype=bool)
    for row in np.flatnonzero((index.cube == cube) & (index.split == code)):
        touched[index.y[row] : index.y[row] + index.size, index.x[row] : index.x[row] + index.size] = True
    return touched


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 60), width=st.integers(1, 60), size=st.integers(1, 17), stride=st.integers(0, 9),
    coverage=st.floats(0, 1), density=st.floats(0.2, 1), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_windows_are_those_of_a_plain_loop(height, width, size, stride, coverage, density, seed):
    """A wrong corner or a wrong sum would cut background or miss foreground."""
    mask = np.random.default_rng(seed).random((height, width)) < density
    config = PatchConfig(size=size, stride=stride, coverage=coverage, split="auto")
    expected = {}
    for y in range(0, height - size + 1, config.step):
        for x in range(0, width - size + 1, config.step):
            count = mask[y : y + size, x : x + size].sum()
            if count >= max(1, coverage * size * size - 1e-6):
                expected[y, x] = count / size**2
    # Two equal cubes: split by whole cube, so no window is lost to a guard.
    sources = [PatchSource("a", "d", mask), PatchSource("b", "d", mask.copy())]
    if not expected:
        with pytest.raises(ConfigError):
            build_index(sources, config)
        return
    index, left_out = build_index(sources, config)
    assert left_out == {}
    for cube in (0, 1):
        rows = index.cube == cube
        found = {(int(y), int(x)): c for y, x, c in zip(index.y[rows], index.x[rows], index.coverage[rows], strict=True)}
        assert found.keys() == expected.keys()
        assert all(found[key] == pytest.approx(expected[key], abs=1e-6) for key in expected)
    assert sorted(np.unique(index.split)) == [0, 1]


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(8, 90), width=st.integers(8, 90), size=st.integers(1, 16), stride=st.integers(0, 8), block=st.integers(0, 40),
    guard=st.integers(0, 6), share=st.floats(0.05, 0.95), density=st.floats(0.3, 1), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_no_test_window_shares_a_pixel_with_a_training_window(height, width, size, stride, block, guard, share, density, seed):
    """Blocks that leak would make every later accuracy a lie; with a guard the gap is twice as wide."""
    generator = np.random.default_rng(seed)
    mask = generator.random((height, width)) < density
    config = PatchConfig(size=size, stride=stride, block=block, guard=guard, test_share=share, split="blocks", coverage=0.2, seed=seed)
    try:
        index, _ = build_index([PatchSource("a", "d", mask)], config)
    except ConfigError as error:
        assert "no cube gives a patch" in str(error) or "is empty" in str(error)  # noqa: PT017 - which of the two depends on the draw
        return
    train, test = pixels(index, 0, 0, mask.shape), pixels(index, 0, 1, mask.shape)
    if test.any():
        reach = np.zeros_like(test)
        for y, x in zip(*np.nonzero(test), strict=True):
            reach[max(0, y - 2 * guard) : y + 2 * guard + 1, max(0, x - 2 * guard) : x + 2 * guard + 1] = True
        assert not (train & reach).any()
        assert train.any()
        assert index.notes == ()
    else:
        assert "no room for train and test windows" in index.notes[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("side", "size"), [(32, 16), (40, 16), (64, 32), (80, 32), (95, 32), (100, 16), (145, 32), (145, 16)])
def test_every_frame_with_room_for_two_windows_gets_both_splits(side, size, seed):
    """A domain of one small cube must still be held out in part, whatever the seed."""
    index, _ = build_index([full("a", "d", side, side)], PatchConfig(size=size, seed=seed))
    assert min(index.counts()["d"].values()) > 0
    assert index.notes == ()


def test_blocks_of_a_crop_lie_in_the_crop():
    """Blocks of the whole frame would put a small crop into one block, and nothing would be held out."""
    mask = np.zeros((400, 400), dtype=bool)
    mask[300:364, 200:264] = True
    index, _ = build_index([PatchSource("a", "d", mask)], PatchConfig(size=16, split="blocks"))
    assert min(index.counts()["d"].values()) >= 4


def test_share_of_held_out_windows_is_near_the_wanted_one():
    index, _ = build_index([full("a", "d", 400, 400)], PatchConfig(size=16, split="blocks", test_share=0.25))
    assert index.split.mean() == pytest.approx(0.25, abs=0.03)
    assert len(index) > 0.6 * (385 // 8) ** 2  # what the borders cost stays a part


def test_whole_cubes_are_held_out_in_each_domain():
    """A cube in both splits would leak."""
    sources = [full(f"{domain}{n}", domain, 40, 40 + n) for domain, count in (("a", 2), ("b", 5), ("c", 8)) for n in range(count)]
    index, _ = build_index(sources, PatchConfig(size=16, split="cube", test_share=0.25))
    held_out = {name: set(index.split[index.cube == n].tolist()) for n, name in enumerate(index.cubes)}
    assert all(len(codes) == 1 for codes in held_out.values())
    assert {d: sum(held_out[s.name] == {1} for s in sources if s.domain == d) for d in "abc"} == {"a": 1, "b": 1, "c": 2}


def test_adding_a_domain_or_reordering_cubes_does_not_shuffle_the_others():
    sources = [full(f"{domain}{n}", domain, 64, 64) for domain in "ab" for n in range(6)]
    config = PatchConfig(size=16, seed=3)
    index, _ = build_index(sources, config)
    more, _ = build_index([*reversed(sources), full("z", "z", 99, 99)], config)

    def tests(found):
        return {found.cubes[n] for n in np.unique(found.cube[found.split == 1])} - {"z"}

    assert tests(index) == tests(more)
    other = [tests(build_index(sources, PatchConfig(size=16, seed=seed))[0]) for seed in range(8)]
    assert len({frozenset(names) for names in other}) > 1, "the seed changes nothing"


def test_auto_splits_by_cube_where_it_can_and_by_block_elsewhere():
    sources = [full("one", "single", 80, 80), full("p", "pair", 40, 40), full("q", "pair", 40, 40), full("tiny", "pair", 8, 40)]
    index, left_out = build_index(sources, PatchConfig(size=16))
    assert list(left_out) == ["tiny"]
    assert "8×40" in left_out["tiny"]
    assert "16×16" in left_out["tiny"]
    assert set(index.split[index.cube == 0].tolist()) == {0, 1}
    assert {tuple(np.unique(index.split[index.cube == n])) for n in (1, 2)} == {(0,), (1,)}


def test_split_by_cube_of_a_single_cube_says_what_to_do():
    with pytest.raises(ConfigError, match=r"domain 'd' has one usable cube \('big'\).*--split blocks"):
        build_index([full("big", "d", 64, 64), full("small", "d", 8, 8)], PatchConfig(size=16, split="cube"))


def test_a_frame_without_room_for_two_windows_is_left_out_with_a_word():
    index, left_out = build_index([full("a", "d", 40, 70), full("b", "e", 99, 99)], PatchConfig(size=32, stride=4))
    assert index.cubes == ("b",)
    assert re.search("40×70 pixels is too small .* smaller --size", left_out["a"])
    whole, nothing = build_index([full("a", "d", 40, 70), full("c", "d", 40, 70)], PatchConfig(size=32, stride=4))
    assert not nothing, "a domain that is split by whole cube needs no room for both"
    assert {split for counts in whole.counts().values() for split, count in counts.items() if count} == {"train", "test"}


def test_a_frame_whose_guard_leaves_no_room_is_train_and_says_so():
    index, _ = build_index([full("a", "d", 70, 70), full("b", "e", 300, 300)], PatchConfig(size=32, stride=4, guard=20))
    assert index.counts()["d"]["test"] == 0
    assert index.counts()["d"]["train"] > 0
    assert re.search("cube 'a' has no room .* domain 'd' has no test patches", index.notes[0])


def test_empty_masks_name_the_cube():
    empty = PatchSource("dark", "d", np.zeros((50, 50), dtype=bool))
    with pytest.raises(ConfigError, match="mask of cube 'dark' is empty"):
        build_index([empty], PatchConfig(size=16))
    index, left_out = build_index([empty, full("a", "d", 60, 60)], PatchConfig(size=16))
    assert "mask is empty" in left_out["dark"]
    assert index.cubes == ("a",)
    with pytest.raises(ConfigError, match="no cubes"):
        build_index([], PatchConfig())


def test_too_little_foreground_says_how_much_there_is():
    mask = np.zeros((64, 64), dtype=bool)
    mask[:4, :16] = True
    _, left_out = build_index([PatchSource("a", "d", mask), full("b", "d", 64, 64)], PatchConfig(size=16))
    assert "50%" in left_out["a"]
    assert "25%" in left_out["a"]


@settings(max_examples=40, deadline=None)
@given(sides=st.lists(st.integers(16, 90), min_size=2, max_size=5), cap=st.integers(1, 60), seed=st.integers(0, 999))
def test_cap_keeps_the_shares_of_cubes_and_splits(sides, cap, seed):
    """A cap that took the first patches would see one corner of one cube only."""
    sources = [full(f"c{n}", "d", side, side) for n, side in enumerate(sides)]
    whole, _ = build_index(sources, PatchConfig(size=16, stride=4, seed=seed))
    index, _ = build_index(sources, PatchConfig(size=16, stride=4, seed=seed, per_domain=cap))
    assert len(index) == min(cap, len(whole))
    assert len(set(zip(index.cube.tolist(), index.y.tolist(), index.x.tolist(), strict=True))) == len(index)
    share = len(index) / len(whole)
    for code in (0, 1):
        assert abs((index.split == code).sum() - share * (whole.split == code).sum()) <= 1
        assert cap < 2 or (index.split == code).any()
    for cube in range(len(sides)):
        assert abs((index.cube == cube).sum() - share * (whole.cube == cube).sum()) <= 2


def test_same_seed_same_index_and_the_digest_tells_them_apart():
    sources = [full("a", "d", 145, 145)]
    first, _ = build_index(sources, PatchConfig(seed=1, size=16))
    again, _ = build_index(sources, PatchConfig(seed=1, size=16))
    other, _ = build_index(sources, PatchConfig(seed=2, size=16))
    renamed, _ = build_index([full("b", "d", 145, 145)], PatchConfig(seed=1, size=16))
    assert first.digest == again.digest
    assert len({first.digest, other.digest, renamed.digest}) == 3


def test_round_trip_through_a_file(tmp_path):
    index, _ = build_index([full("Kaffee_é", "d", 40, 40), full("b", "e", 99, 99)], PatchConfig(size=32, stride=4))
    index.save(tmp_path / "index.npz")
    loaded = PatchIndex.load(tmp_path / "index.npz")
    assert loaded.digest == index.digest
    assert (loaded.cubes, loaded.domains, loaded.size, loaded.notes) == (index.cubes, index.domains, index.size, index.notes)
    assert loaded.counts() == index.counts()
    assert loaded.cube.dtype == np.int32
    assert loaded.coverage.dtype == np.float32


@pytest.mark.parametrize("damage", ["text", "other", "torn", "pickle", "outside", "ragged", "missing"])
def test_another_file_is_refused_in_one_sentence(tmp_path, damage):
    path = tmp_path / "index.npz"
    index, _ = build_index([full("a", "d", 64, 64)], PatchConfig(size=16))
    index.save(path)
    if damage == "text":
        path.write_text("no index")
    elif damage == "other":
        np.savez(path, mean=np.zeros(3))
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "missing":
        path.unlink()
    else:
        arrays = dict(np.load(path))
        changed = {"pickle": {"notes": np.array([{}], dtype=object)}, "outside": {"cube": arrays["cube"] + 9}, "ragged": {"y": arrays["y"][:-1]}}[damage]
        np.savez(path, **{**arrays, **changed})
    with pytest.raises(ProjectError, match=r"index\.npz .*cut the patches again") as caught:
        PatchIndex.load(path)
    assert "\n" not in str(caught.value)


def test_subset_keeps_names_and_order():
    index, _ = build_index([full("a", "d", 64, 64)], PatchConfig(size=16))
    test = index.subset(index.split == 1)
    assert len(test) == index.counts()["d"]["test"]
    assert test.cubes == index.cubes
