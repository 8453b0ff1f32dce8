from __future__ import annotations

from tools.mutants.sample import main

raise SystemExit(main())
