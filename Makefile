# make demo   the whole of it on Indian Pines: in a window, or into demo-output/ where there is no display
# make test   style, types, import layers and every test, the window's under a virtual display
# make lint   style, types and import layers alone
# make bench  every measurement of speed beside the rivals, in under half an hour; BENCH_WORK=folder for its 8 GB
# make setup  the virtual environment .venv, and on Debian and Ubuntu the system packages a window needs
# make docs   the documentation site, into docs/_build/html
# make clean  forget the environments, caches and what the demo left
#
# make coverage  which lines no test reaches; fails under 95 % outside the window and 85 % inside
# make mutants   whether the tests notice faults put into losses, metrics, splits, audit and components; hours, goes on where it was stopped
#
# make audit     known vulnerabilities of the pinned packages, their licences, and what has no pin; fails where nobody could be asked
#
# Before a release, each in environments of its own (.venv-*):
# make test-qt [QT="pyqt6 pyside6 napari-pre"]        the window's tests with other Qt bindings and napari's newest pre-release
# make test-python PYTHON=python3.13 [TORCH=no]       the tests without a window under another Python
# make wheel-check                                    wheel and sdist in empty environments: command line, demonstration, window
# make release [REHEARSE=--rehearse]                  wheel and sdist, built twice and compared, into dist/; publishes nothing
#
# Each of the first targets does the set-up first; it costs a moment when there is nothing to do.

.PHONY: demo test coverage audit mutants lint bench docs setup clean test-qt test-python wheel-check release
.DEFAULT_GOAL := demo

demo: setup
	@scripts/demo.sh

test: setup
	@scripts/test.sh

audit: setup
	@scripts/audit.sh

coverage: setup
	@scripts/coverage.sh

mutants: setup
	@scripts/mutants.sh $(MUTANTS)

lint: setup
	@scripts/lint.sh

docs: setup
	@scripts/docs.sh

test-qt:
	@PYTHON="$(PYTHON)" scripts/test_qt.sh $(QT)

test-python:
	@TORCH="$(TORCH)" scripts/test_python.sh "$(PYTHON)"

wheel-check:
	@PYTHON="$(PYTHON)" scripts/check_wheel.sh

release:
	@PYTHON="$(PYTHON)" scripts/release.sh $(REHEARSE)

bench: setup
	@.venv/bin/python benchmarks/peers/setup.py
	@.venv/bin/python benchmarks/suite.py "$(or $(BENCH_WORK),bench-output)"

setup:
	@PYTHON="$(PYTHON)" scripts/setup.sh

clean:
	rm -rf .venv .venv-* build dist demo-output bench-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache docs/_build mutants
