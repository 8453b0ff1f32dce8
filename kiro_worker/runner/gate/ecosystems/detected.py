"""What an ecosystem's module finds out about a folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detected:
    """How to install what the tests of a folder need, and how to run them.

    ``ecosystem`` is a word such as ``python`` or ``node``. ``setup`` and ``test`` are words that run without a further
    shell (``("sh", "-eu", "-c", script)`` for a script), in the folder; empty if there is nothing to run. ``reason``
    names the files that decided, for people: ``uv.lock → uv sync; [tool.pytest] → pytest``. ``problem`` says why no
    choice is possible and what to write into ``.kiro-worker.yml``; ``setup`` and ``test`` are then empty. ``likely`` is
    False if nothing shows that the folder has tests of this ecosystem, so that another one goes first.
    ``follows_sources`` is False if setup may copy or compile sources, so that it must run again after every change.
    """

    ecosystem: str
    reason: str
    setup: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    problem: str = ""
    likely: bool = True
    follows_sources: bool = True
