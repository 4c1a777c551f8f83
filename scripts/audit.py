"""Known vulnerabilities of the pinned packages, their licences, and what is installed without a pin; run by scripts/audit.sh."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import Distribution, distributions
from pathlib import Path

_OWN = "napari-hsi-ssl"


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


def pinned(constraints: Path) -> dict[str, str]:
    """Return versions by package."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines())
    return {plain(name): version for name, sign, version in (line.partition("==") for line in lines) if sign}


def plain(name: str) -> str:
    """Return a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """Return what a package says of its licence, in a few words."""
    told = package.metadata
    classes = [entry.rpartition(" :: ")[2] for entry in told.get_all("Classifier") or [] if entry.startswith("License ::")]
    stated = (told.get("License-Expression") or ", ".join(classes) or told.get("License") or "").strip().splitlines()
    return stated[0][:60] if stated else "not stated"


def ask(program: str, constraints: Path, service: str) -> list[dict[str, object]] | str:
    """Return what a vulnerability service says of each package, or why it could not be asked."""
    words = [program, "-r", str(constraints), "--no-deps", "--disable-pip", "-s", service, "-f", "json", "--progress-spinner", "off", "--timeout", "20"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, object]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        return lines[-1][:200] if lines else f"exit code {done.returncode}"
    return found


def vulnerable(program: str, constraints: Path, services: list[str]) -> bool:
    """Say what is known to be vulnerable; return whether anything is, or could not be looked up."""
    wanted = pinned(constraints)
    for service in services:
        found = ask(program, constraints, service)
        if isinstance(found, str):
            say(f"  {service} cannot be asked: {found}")
            continue
        known = [package for package in found if "skip_reason" not in package]
        # pip-audit ends well where it has found no package at all, as behind a mirror without that service.
        if not known:
            say(f"  {service} knows none of the {len(found)} packages, so it was not asked in truth.")
            continue
        hits = [(package, hit) for package in known for hit in package.get("vulns", [])]  # type: ignore[attr-defined]
        for package, hit in hits:
            fixed = ", ".join(hit["fix_versions"]) or "no version"
            say(f"  {package['name']} {package['version']}: {hit['id']}, mended in {fixed}")
        left = sorted(set(wanted) - {plain(str(package["name"])) for package in known})
        say(f"  {service}: {len(hits)} known in {len(known)} of {len(wanted)} packages" + (f"; not looked up: {', '.join(left)}" if left else ""))
        return bool(hits or left)
    say("  No vulnerability service can be reached from here, so NOTHING is known: run `make audit` where pypi.org or api.osv.dev can be reached.")
    return True


def main() -> int:
    """Run the audit; returns the exit code."""
    constraints, program, services = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    wanted = pinned(constraints)
    here = {plain(package.name): package for package in distributions()}
    say("Vulnerabilities")
    bad = vulnerable(program, constraints, services)
    say("Licences")
    by_licence: dict[str, list[str]] = defaultdict(list)
    for name, package in here.items():
        by_licence[licence(package)].append(name)
    for words, names in sorted(by_licence.items(), key=lambda pair: -len(pair[1])):
        say(f"  {words}: {', '.join(sorted(names))}")
    say("Installed without a pin, or in another version")
    loose = {name: package.version for name, package in here.items() if name != _OWN and wanted.get(name) != package.version.split("+")[0]}
    for name, version in sorted(loose.items()):
        say(f"  {name} {version}, " + (f"pinned {wanted[name]}" if name in wanted else "not pinned"))
    say("" if loose else "  none")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
