"""The worker's own records, which it believes instead of text in a repository.

Anybody who may push can write a commit message, a branch name or a ref. Only the roles of this deployment can write the
table ``kiro-worker-<env>-records``, and each role only the keys that it needs::

    run#<execution>                  what the run was about to push: runs.py
    branch#<owner/name>#<branch>     the checkpoint that the worker was about to push: checkpoints.py
    card#<item>                      why it was passed over, and what is tried again: cards.py
    breaker                          why the queue is stopped: breaker.py
    day#<YYYY-MM-DD>                 what the builds of a day have spent: days.py
    day#<YYYY-MM-DD>#<owner/name>    what those of one repository have spent: days.py

The worker makes every write before the act that it records, and can repeat it. Only what was spent is known afterwards:
it is written before anything more is spent.
"""
