"""The two stacks: ``core`` holds what a change of the workflow must not touch, ``workflow`` everything else."""
