"""A pytest plugin for interpreters that torch has no build for: what fails for want of torch alone is skipped and counted.

Used by ``scripts/test_python.sh`` with TORCH=no; nowhere else, where a missing torch must fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

_MISSING = re.compile(r"No module named '(torch|lightning_fabric)")


def pytest_configure() -> None:
    if find_spec("torch") is not None:
        raise pytest.UsageError("torch is installed here: run the tests without this plugin")


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.outcome == "failed" and _MISSING.search(str(report.longrepr)):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, "Skipped: needs torch")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.outcome == "failed" and _MISSING.search(report.longreprtext):
        report.outcome, report.longrepr = "skipped", (str(item.path), 0, "Skipped: needs torch")
