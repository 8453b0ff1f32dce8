"""How much of the code the tests ran: a model of it, the report formats, and the lines that a change adds."""
