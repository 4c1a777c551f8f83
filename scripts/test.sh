#!/usr/bin/env bash
# Runs everything a change must pass: style, types, import layers, tests without a window, tests with a real one.
# Every part runs even when an earlier one failed; the last lines say which did, and end with pytest's own summary.
set -uo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 # two workers share two cores
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
failed=()

# A real Slurm of one node is started by its tests, which are skipped, with a word, where it cannot be installed.
if ! command -v sbatch >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null 2>&1 || echo "Slurm cannot be installed here; its tests are skipped" >&2
fi

part() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  "$@" || failed+=("$name")
  echo "== $name: $((SECONDS - start)) s"
}

core() { QT_QPA_PLATFORM=offscreen .venv/bin/pytest -n 2 --ignore=tests/gui "$@" 2>&1 | tee "$log/core"; }

window() { scripts/test_window.sh .venv "$@" 2>&1 | tee "$log/window"; }

part "lint" scripts/lint.sh
part "tests without a window" core -q
part "tests with a window" window -q

echo
echo "without a window: $(tail -n 1 "$log/core")"
if [ ${#failed[@]} != 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
fi
tail -n 1 "$log/window"
[ ${#failed[@]} = 0 ]
