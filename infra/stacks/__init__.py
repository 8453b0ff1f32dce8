"""The two stacks: ``core`` holds what a change to the workflow must not touch, ``workflow`` everything else."""
