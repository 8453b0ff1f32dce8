"""The program that CodeBuild runs: it turns the spec of one card into tested commits on the card's branch.

Start reading at :mod:`kiro_worker.runner.pipeline`.
"""
