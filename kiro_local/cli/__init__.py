"""The commands `demo` and `local`."""
