"""``python -m tools.mutants``: plant a random sample of faults in the product, and report which of them tests detect.

Every decision deserves a test that runs in milliseconds: a fault that only the recovery matrix detects is found minutes
later. Each mutant is one small change to one file, in a copy of the tree. The file's unit tests run first, and its
integration tests only if those detect nothing.
"""
