"""The one error of synthesis."""

from __future__ import annotations


class SynthError(Exception):
    """Synthesis cannot continue. The message is one sentence that says why and what to change."""
