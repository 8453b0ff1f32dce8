"""Reads executions from AWS for the command line."""
