from __future__ import annotations

from kiro_worker.cli import main

main()
