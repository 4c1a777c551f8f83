"""Fuzzing of everything that is read from disk: random valid files, damaged in ways that know their structure, and what must hold of the answer.

`python -m benchmarks.fuzzing --help` says how it is run; `guided` is the same led by coverage (atheris).
"""
