#!/usr/bin/env bash
# The tests of the window with other Qt bindings, and with the newest pre-release of napari (with PyQt6: napari 0.10 has dropped PyQt5).
#   scripts/test_qt.sh [pyqt6] [pyside6] [napari-pre] [-- pytest option...]      all three by default
# Each in an environment of its own, .venv-NAME; they take a quarter of an hour each on two cores.
set -uo pipefail
cd "$(dirname "$0")/.."
names=()
while [ $# != 0 ] && [ "$1" != -- ]; do
  names+=("$1")
  shift
done
shift || true
[ ${#names[@]} != 0 ] || names=(pyqt6 pyside6 napari-pre)

constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
failed=() said=()
for name in "${names[@]}"; do
  extra=$name napari=()
  cp constraints.txt "$constraints"
  if [ "$name" = napari-pre ]; then
    extra=pyqt6 napari=("napari>=0.10.0rc0") # a bound that names a pre-release lets pip take one
    sed -i '/^napari==/d' "$constraints"
  fi
  if ! scripts/environment.sh ".venv-$name" "${PYTHON:-python3}" "$constraints" -e ".[$extra,samples,geo,umap,cluster,tests]" "${napari[@]}"; then
    failed+=("$name (it could not be installed)")
    continue
  fi
  echo "== $name: $(".venv-$name/bin/pip" list --disable-pip-version-check 2>/dev/null | awk 'tolower($1) ~ /^(napari|pyqt6|pyside6)$/ { printf "%s %s  ", $1, $2 }')"
  log=$(mktemp)
  QT_API=$extra PYTEST_QT_API=$extra scripts/test_window.sh ".venv-$name" -q "$@" | tee "$log"
  [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$name")
  said+=("$name: $(grep -E '^[0-9]+ (passed|failed|skipped)|^=+ .*(passed|failed)' "$log" | tr '\n' ' ')")
  rm -f "$log"
done

echo
printf '%s\n' "${said[@]}"
if [ ${#failed[@]} != 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
