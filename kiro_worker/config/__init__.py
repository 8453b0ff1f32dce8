"""The installation's configuration: the SSM parameter, its model, and the secrets.

All of it is read and validated at the start of every run, before the run incurs any cost. Each kind of mistake has its
own error class, and the error's remedy is the command that corrects it.
"""
