"""The embedded AWS on this machine: build, start, deploy the real template.yaml, stop.

`python -m local` is the command line behind the Makefile; tests use `local.stack.Stack`.
"""
