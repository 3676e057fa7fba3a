"""A file for each subcommand.

Each has SUMMARY (one line for `fcos --help`), EXAMPLES (two or three command lines),
`add_arguments(parser)`, which imports nothing heavy, and `run(arguments)`, which does the work and
returns the exit code, or None for 0.
"""
