"""Generators: each writes a part of the documentation from the source of the fact it states."""
