"""The one error of synthesis."""

from __future__ import annotations


class SynthError(Exception):
    """Synthesis cannot continue. The message, one sentence, says why and what to change."""
