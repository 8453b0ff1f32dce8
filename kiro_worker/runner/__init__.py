"""The program that CodeBuild runs: one card's spec becomes tested commits on its branch. ``run.py`` tells the story."""
