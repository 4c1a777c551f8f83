"""The limit on BLAS threads holds for everybody who asks for it, and goes with the last of them."""

from __future__ import annotations

import threading

from threadpoolctl import threadpool_info

from napari_hsi_ssl.threads import one_blas_thread


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


def in_a_thread(work):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_it_holds_in_every_thread_whoever_asked_before():
    """Else, once one thread had asked for it, the maps of a brush ran on all cores in any other, and each of them waited for the rest."""
    before, seen = threads(), []

    def work():
        with one_blas_thread():
            seen.append(threads())

    with one_blas_thread():
        pass
    in_a_thread(work)
    work()
    in_a_thread(work)
    assert seen == [{1}] * 3
    assert threads() == before


def test_who_leaves_last_may_be_another_thread_than_who_came_first():
    before, first = threads(), one_blas_thread()
    first.__enter__()
    second = one_blas_thread()
    in_a_thread(second.__enter__)
    first.__exit__(None, None, None)
    assert threads() == {1}
    in_a_thread(lambda: second.__exit__(None, None, None))
    assert threads() == before
