# make demo   the whole of it on Indian Pines: in a window, or into demo-output/ where there is no display
# make test   style, types, import layers and every test, the window's under a virtual display
# make lint   style, types and import layers alone
# make setup  the virtual environment .venv, and on Debian and Ubuntu the system packages a window needs
# make docs   the documentation site, into docs/_build/html
# make clean  forget .venv, caches and what the demo left
#
# Each target does the set-up first; it costs a moment when there is nothing to do.

.PHONY: demo test lint docs setup clean
.DEFAULT_GOAL := demo

demo: setup
	@scripts/demo.sh

test: setup
	@scripts/test.sh

lint: setup
	@scripts/lint.sh

docs: setup
	@scripts/docs.sh

setup:
	@PYTHON="$(PYTHON)" scripts/setup.sh

clean:
	rm -rf .venv build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache docs/_build
