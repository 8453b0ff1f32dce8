"""The one error of synthesis: a sentence for the person at the terminal."""

from __future__ import annotations


class SynthError(Exception):
    """Synthesis cannot go on; the message says why and what to change, in one sentence."""
