"""GitHub as the worker sees it: a board with cards, repositories with specs, and one comment per pull request."""
