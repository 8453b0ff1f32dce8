"""The worker's view of GitHub: a board with cards, repositories with specs, and one comment per pull request."""
