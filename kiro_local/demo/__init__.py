"""The content of `kiro-worker demo`: a board with cards, a repository, and a scripted agent."""
