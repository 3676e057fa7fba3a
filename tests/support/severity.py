"""How bad `fcos check` finds a dataset."""

from fcos_cli.main import main


def severity(*arguments: str) -> int:
    """0: nothing, or notes; 1: warnings; 2: errors."""
    if main(["check", *arguments]) != 0:
        return 2
    return main(["check", *arguments, "--strict"])
