"""One build at a time for each key: the DynamoDB lock, whose rules stand in :mod:`kiro_worker.lock.table`."""
