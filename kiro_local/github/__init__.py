"""The stand-in GitHub: our subset of its GraphQL API and git over HTTP, real repositories on disk.

``stand_in.StandInGitHub`` is the whole; ``seed`` fills its board; ``faults`` makes it misbehave. It models what GitHub
documents, and each module says what it rests on; whoever speaks with it does not know that it is not the real one.
"""
