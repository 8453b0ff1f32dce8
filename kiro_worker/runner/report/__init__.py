"""What a build leaves behind: its log, its result and its artifacts."""
