"""Threads of our own, each with a BLAS of one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_THREADS = 8


@cache
def _blas() -> tuple[ThreadpoolController, int]:
    controller = ThreadpoolController()
    threads = [library["num_threads"] for library in controller.info() if library["user_api"] == "blas"]
    return controller, max(1, min(_MOST_THREADS, *threads)) if threads else 1


_holding = threading.Lock()
_holders: list[object] = []
_limits: list[Any] = []


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Let every BLAS call run in its own thread alone, and give the number of threads it would take otherwise (8 at most).

    Small products beside `side_by_side` belong in it too: the threads of a BLAS call spin for some 30 ms after it, in the way of ours.
    The limit holds until the last of those who asked for it, in whatever threads, has done.
    """
    controller, threads = _blas()
    me = object()
    with _holding:
        if not _holders:
            _in_charge(controller)
            _limits.append(controller.limit(limits=1, user_api="blas"))
        _holders.append(me)
    try:
        yield threads
    finally:
        with _holding:
            _holders.remove(me)
            if not _holders:
                _in_charge(controller)
                _limits.pop().unregister()
                _in_charge(controller)


def _in_charge(controller: ThreadpoolController) -> None:
    """Let this thread set OpenBLAS's threads: to newer ones of threadpoolctl only the first that did so is heard, as long as it lives."""
    for library in controller.lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``work(item)`` in the order of the items, made by as many threads as BLAS would take; only a few results wait at a time.

    Where the processor is shared, with a training for instance, the threads of one BLAS call wait for one another and take twenty times as long as
    these, which never do.
    """
    with one_blas_thread() as threads, ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
