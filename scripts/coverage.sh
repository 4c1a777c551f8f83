#!/usr/bin/env bash
# Line coverage of all tests, those of trainers, ranks and other child processes included; fails under 95 % outside the window or 85 % inside.
# What no test reaches is in build/coverage/html, line by line. With REPORT=only what was measured before is reported again.
set -uo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 # two workers share two cores
export COVERAGE_FILE=$PWD/build/coverage/lines

status=0
if [ "${REPORT:-}" != only ]; then
  rm -rf build/coverage
  mkdir -p build/coverage
  # The environment reaches every Python that a test starts, so that each measures itself.
  export COVERAGE_PROCESS_START=$PWD/pyproject.toml
  QT_QPA_PLATFORM=offscreen .venv/bin/pytest -n 2 --ignore=tests/gui -q || status=1
  scripts/test_window.sh .venv -q || status=1
  unset COVERAGE_PROCESS_START
  .venv/bin/coverage combine -q
fi
.venv/bin/coverage html -q -d build/coverage/html
echo "== outside the window"
.venv/bin/coverage report --omit "napari_hsi_ssl/gui/*" --skip-covered --fail-under 95 || status=1
echo "== inside the window"
.venv/bin/coverage report --include "napari_hsi_ssl/gui/*" --skip-covered --fail-under 85 || status=1
exit $status
