"""The worker's own records, which it believes instead of text in a repository.

A commit message, a branch name or a ref can be written by anybody who may push. Only the roles of this deployment can
write the table ``kiro-worker-<env>-records``, and each role only the keys that it needs::

    run#<execution>                  what the run was about to push: runs.py
    branch#<owner/name>#<branch>     the checkpoint that the worker was about to push: checkpoints.py
    card#<item>                      which builds of the card were repeated: cards.py

Every write is made before the act that it records, and can be repeated.
"""
