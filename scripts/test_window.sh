#!/usr/bin/env bash
# The tests of the window in two halves side by side, each on a screen of its own, so that no window takes the keyboard from another.
#   scripts/test_window.sh ENVIRONMENT [pytest option]...
# With QT_API and PYTEST_QT_API the environment's binding is chosen; without, it is PyQt5.
set -uo pipefail
cd "$(dirname "$0")/.."
environment=$1
shift
export OMP_NUM_THREADS=1 # two workers share two cores

if ! command -v xvfb-run >/dev/null; then # macOS, or a desktop without Xvfb: the windows open on the screen
  exec "$environment/bin/pytest" tests/gui "$@"
fi

log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

half() {
  local number=$1
  shift
  # Each Xvfb takes a free number of its own; -a alone lets two of them find the same one.
  LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb xvfb-run -n $((${SCREEN:-120} + 40 * number)) -a -s "-screen 0 1600x1000x24" \
    "$environment/bin/pytest" -p no:cacheprovider $(files_of "$number") "$@" >"$log/$number" 2>&1
}

# The largest file first, each to the half that has fewer bytes so far: they tell the time that tests take better than the number of files.
files_of() {
  wc -c tests/gui/test_*.py | grep -v ' total$' | sort -k1,1nr -k2 |
    awk -v half="$1" '{ to = bytes[0] > bytes[1]; bytes[to] += $1; if (to == half) print $2 }'
}

half 0 "$@" &
first=$! failed=0
half 1 "$@" || failed=1
wait "$first" || failed=1
cat "$log/0" "$log/1"
exit $failed
