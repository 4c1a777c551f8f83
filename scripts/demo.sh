#!/usr/bin/env bash
# Runs the demonstration in a window where there is a display, and on a virtual one otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-demo-output}
if [ "$(uname)" = Darwin ] || [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  exec .venv/bin/napari-hsi-ssl demo
fi
LIBGL_ALWAYS_SOFTWARE=1 QT_QPA_PLATFORM=xcb xvfb-run -a -s "-screen 0 1600x1000x24" .venv/bin/napari-hsi-ssl demo --headless "$folder"
echo "There is no display here: screenshots, maps and result.json are in $PWD/$folder"
