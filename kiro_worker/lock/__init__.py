"""One build at a time per key: the lock in DynamoDB. :mod:`kiro_worker.lock.table` holds its rules."""
