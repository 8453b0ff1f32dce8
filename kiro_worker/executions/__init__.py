"""Reading executions from AWS, for the command line."""
