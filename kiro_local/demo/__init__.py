"""`kiro-worker demo`: a board, its cards, a repository and a scripted agent."""
