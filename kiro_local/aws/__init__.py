"""The embedded AWS: moto behind one loopback port, extended with the features that moto lacks.

- ``server``: starts and stops everything
- ``http``, ``routing``: the web server and its request routers
- ``session``, ``loopback``: credentials, and clients that reach nothing else
- ``deploy``, ``cloudformation*``, ``schedule``: stacks, their resources and the schedule's deliveries
- ``executions*``, ``drive``, ``progress``, ``history``, ``redrive``, ``interruption``: executions
- ``jsonata``, ``error_matching``, ``codebuild_sync``, ``nested_executions``: the states of a definition
- ``lambda_*``: functions in their own processes, under AWS's own runtime client
- ``build*``: builds in local processes
- ``step_fault``, ``fault_injection``, ``undocumented``: injected faults, and switches for what AWS does not document

The docstring of each extension's ``install()`` lists the attributes of moto that it replaces, and why.
"""
