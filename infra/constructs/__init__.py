"""One construct, one concern, one file. Constructs own resources and expose them; the stacks grant access to them."""
