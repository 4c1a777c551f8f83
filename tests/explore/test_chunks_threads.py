"""The limit on BLAS threads holds for everybody who asks for it, and goes with the last of them."""

from __future__ import annotations

from threadpoolctl import threadpool_info

from napari_hsi_ssl.explore.chunks import one_blas_thread


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_two_who_end_in_the_order_they_began_leave_no_limit_behind():
    """Each of them alone would restore what it found: the second one found the limit of the first."""
    before = threads()
    first, second = one_blas_thread(), one_blas_thread()
    with first:
        assert threads() == {1}
        second.__enter__()
    assert threads() == {1}, "the second one is still at work"
    second.__exit__(None, None, None)
    assert threads() == before
