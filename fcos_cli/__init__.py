"""The command `fcos`. Light: a subcommand imports what it needs when it runs."""
