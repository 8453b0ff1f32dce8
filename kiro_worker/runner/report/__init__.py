"""What a build reports: its log, the exported variables, ``result.json`` and the artifacts."""
