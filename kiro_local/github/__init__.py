"""The stand-in GitHub: the part of its GraphQL API that the worker uses, and git over HTTP on real repositories.

``stand_in.StandInGitHub`` is the server, ``seed`` fills its board, and ``faults`` makes it misbehave. It implements
GitHub's documented behavior, and each module links to its source. A client cannot tell it from GitHub.
"""
