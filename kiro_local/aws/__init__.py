"""The embedded AWS: moto behind one loopback port, extended by what moto lacks.

- ``server``: starts and stops everything
- ``http``, ``routing``: the web server and its request routers
- ``session``, ``loopback``: credentials, and clients that reach nothing else
- ``deploy``, ``cloudformation*``, ``schedule``: stacks, their resources and the schedule's deliveries
- ``executions*``, ``drive``, ``progress``, ``history``, ``redrive``, ``interruption``: executions
- ``jsonata``, ``error_matching``, ``codebuild_sync``, ``nested_executions``: the states of a definition
- ``lambda_*``: functions in processes of AWS's own runtime client
- ``build*``: builds in local processes
- ``step_fault``, ``fault_injection``, ``undocumented``: what goes wrong, and what AWS leaves open

An extension has an ``install()`` that names every attribute of moto it replaces, and why.
"""
