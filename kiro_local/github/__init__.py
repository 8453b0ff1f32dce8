"""The stand-in GitHub: the part of its GraphQL API that the worker uses, and git over HTTP on real repositories.

``stand_in.StandInGitHub`` is the whole, ``seed`` fills its board, ``faults`` makes it misbehave. It models what GitHub
documents, and each module names its source. A client cannot see that it is not talking to GitHub.
"""
