"""The installation's configuration: the SSM parameter, its model, and the secrets.

All of it is read and validated at the start of every run, before the run spends anything. Each mistake has its own
error class, whose remedy is the command that corrects it.
"""
