"""The generators of documentation, and the checks of the state machine definitions.

Each generator is a command: ``python -m tools.NAME`` writes its pages, and ``python -m tools.NAME --check`` exits with
1 if a page is out of date. ``make docs`` and ``make check`` run them all.
"""
