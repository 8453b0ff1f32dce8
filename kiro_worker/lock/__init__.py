"""The lock in DynamoDB, which allows one build at a time per key. :mod:`kiro_worker.lock.table` defines its rules."""
