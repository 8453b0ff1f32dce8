"""One construct, one concern, one file. They own resources and expose them; who may use them is said in the stacks."""
