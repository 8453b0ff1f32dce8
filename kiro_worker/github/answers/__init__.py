"""GitHub's answers, validated once and parsed into typed values.

Each class parses what one fragment or operation of :mod:`kiro_worker.github.queries` selects. GraphQL returns null for
anything that does not exist or that the token may not see, and each class documents how it represents that. Any other
shape is :class:`~kiro_worker.errors.GitHubAnswerInvalid`.
"""
