"""The dependency audit fails where something is vulnerable, and where nobody could be asked."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

AUDIT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "audit.py"))
KNOWN = {"name": "one", "version": "1.0", "vulns": []}


def audited(tmp_path, answer) -> bool:
    """Ask a service that gives one answer."""
    (tmp_path / "constraints.txt").write_text("# pinned\none==1.0\nTwo_b==2.0\n")
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(answer)!r} if {answer is not None} else '')\n")
    program.chmod(0o755)
    return AUDIT["vulnerable"](str(program), tmp_path / "constraints.txt", ["pypi"])


@pytest.mark.parametrize(
    ("packages", "bad", "words"),
    [
        ([KNOWN, {"name": "two-b", "version": "2.0", "vulns": []}], False, "0 known in 2 of 2"),
        ([KNOWN, {"name": "two-b", "version": "2.0", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}], True, "two-b 2.0: CVE-1, mended in 2.1"),
        ([KNOWN, {"name": "two-b", "skip_reason": "not found"}], True, "not looked up: two-b"),
        ([{"name": "one", "skip_reason": "not found"}, {"name": "two-b", "skip_reason": "not found"}], True, "NOTHING is known"),
        (None, True, "NOTHING is known"),
    ],
)
def test_what_is_not_known_is_not_called_safe(tmp_path, capsys, packages, bad, words):
    assert audited(tmp_path, None if packages is None else {"dependencies": packages}) is bad
    assert words in capsys.readouterr().out
