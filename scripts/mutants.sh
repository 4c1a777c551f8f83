#!/usr/bin/env bash
# Mutation testing of what figures rest on: losses, metrics, splits, audit and components (the modules and tests are in pyproject.toml).
# Small faults are put into the code one by one, and the tests must notice; fails where they notice less than 80 % in a module.
#   scripts/mutants.sh             all of them, some hours on two cores; a stopped run goes on where it was (the folder mutants/ knows)
#   scripts/mutants.sh '*7'        those whose number ends in 7, a tenth
#   .venv-mutants/bin/mutmut show NAME     what a mutant changed
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh .venv-mutants .venv/bin/python constraints.txt "mutmut>=3.8"
export OMP_NUM_THREADS=1 QT_QPA_PLATFORM=offscreen
# The project's own packages, without its editable install: the package that is tested is the one in mutants/.
PYTHONPATH=$(.venv/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
export PYTHONPATH
.venv-mutants/bin/mutmut run "$@"
.venv-mutants/bin/mutmut results --all true | awk '
  /not checked/ { next }
  {
    module = $1; sub(/^napari_hsi_ssl\./, "", module); sub(/\.x[^.]*$/, "", module)
    tried[module]++
    if (/: (killed|timeout)$/) killed[module]++
    else print "not noticed: " $0
  }
  END {
    for (module in tried) {
      share = 100 * killed[module] / tried[module]
      printf "%-28s %4d of %4d noticed, %5.1f %%\n", module, killed[module], tried[module], share | "sort"
      if (share < 80) low = 1
    }
    close("sort")
    exit low
  }'
