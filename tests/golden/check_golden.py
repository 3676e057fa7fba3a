"""Checks our models against golden data: one line for each configuration, exit code 1 on a miss.

    python tests/golden/check_golden.py ../shared/golden

A folder of golden data holds <name>.keys.json, the entries of a state dict, and for some names
also numbers: head outputs, losses, gradients, statistics, targets and detections. Weights and
images follow from rules (golden_rules.py), so nothing has to be downloaded. The line "units" is
about parts of the method on synthetic head outputs (golden_units.py).
"""

import argparse
import sys
import warnings
from pathlib import Path

from golden_models import check_model
from golden_units import check_units

# What a folder has for a configuration; the ends of the file names, no end before a longer one.
KINDS = (".keys.json", ".grads.json", ".buffers_after_train.json", ".json", ".npz")
# Files that belong to no configuration.
OTHERS = {"inputs", "settings_all"}


def names_in(folder: Path) -> list[str]:
    """The configurations of a folder, and "units" if it has these.

    Raises:
        ValueError: no folder, or none of golden data.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    names = set()
    for path in folder.iterdir():
        kind = next((kind for kind in KINDS if path.name.endswith(kind)), None)
        if kind:
            names.add(path.name.removesuffix(kind))
    if not names - OTHERS:
        raise ValueError(f"{folder}: holds no golden data (<name>.keys.json)")
    return sorted(names - OTHERS)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0; 1 after a miss; 2 where something could not be checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of golden data")
    parser.add_argument("names", nargs="*", help="configurations; default: all in the folder")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    try:
        names = args.names or names_in(args.folder)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    code = 0
    for name in names:
        try:
            is_units = name == "units"
            report = check_units(args.folder) if is_units else check_model(args.folder, name)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            code = 2
        except KeyError as error:
            print(f"error: {name}: the data lacks {error}", file=sys.stderr)
            code = 2
        else:
            print(report, flush=True)
            code = max(code, int(bool(report.misses)))
    return code


if __name__ == "__main__":
    sys.exit(main())
