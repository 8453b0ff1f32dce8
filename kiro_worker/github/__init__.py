"""GitHub as this project sees it: a board with cards, repositories with specs, pull requests with one comment of
ours.
"""
