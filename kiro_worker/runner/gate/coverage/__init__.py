"""How much of the code the tests ran: the model, the report formats, and the lines that a change adds."""
