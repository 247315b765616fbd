"""The command line, a thin shell over `fraudit.api`."""
