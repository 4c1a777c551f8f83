#!/usr/bin/env bash
# Style, types and import layers; every check runs, any that fails makes the whole fail.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
.venv/bin/ruff check . || status=1
.venv/bin/ruff format --check . || status=1
.venv/bin/mypy || status=1
.venv/bin/lint-imports || status=1
exit $status
