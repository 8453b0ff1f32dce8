"""`python -m tools.mutants`: plants a random sample of faults in the product and reports which of them tests notice.

A decision deserves a test of milliseconds: a fault that only the recovery matrix notices is found minutes later. Each
mutant is one small change of one file, in a copy of the tree. The unit tests of the file run first, and its integration
tests only if they notice nothing.
"""
