"""The Kiro CodeBuild Worker: turns a card of a GitHub project board into tested, pushed code."""
