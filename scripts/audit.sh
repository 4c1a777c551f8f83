#!/usr/bin/env bash
# Looks the pinned packages up among known vulnerabilities, and lists their licences and what is installed without a pin.
# Fails when a package is known to be vulnerable, and when nobody could be asked: then nothing is known, which is not the same as nothing found.
#   SERVICES="pypi osv" scripts/audit.sh
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh .venv-audit "${PYTHON:-python3}" scripts/audit-constraints.txt pip-audit
exec .venv/bin/python scripts/audit.py constraints.txt .venv-audit/bin/pip-audit ${SERVICES:-pypi osv}
