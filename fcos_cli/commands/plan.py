"""`fcos plan`."""

import argparse
from pathlib import Path

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import take_folder

SUMMARY = "see how `fcos train FOLDER` would train, and why"

EXAMPLES = """\
fcos plan my_data/ --budget 20m
fcos plan my_data/ --epochs 50 --start imagenet --output plan.yaml
fcos plan --train-data train.json --train-images train/ SOLVER.IMS_PER_BATCH 4

Times a few steps of the training; --output writes the whole config, for `fcos train --config`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add(parser, "--budget")
    flags.add_plan(parser)
    flags.add(parser, "--weights", note="to start from")
    flags.add(parser, "--device")
    flags.add(parser, "--output", type=Path, note="a .yaml file, with the reasons")
    parser.add_argument(
        "--no-timing", dest="timing", action="store_false", help="assume what a step costs"
    )
    own = parser.add_argument_group("your own data")
    flags.add(own, "--train-data", "--train-images", "--val-data", "--val-images")
    flags.add(own, "--data-format", "--classes")
    flags.add_overrides(parser, folder=True)


def run(arguments: argparse.Namespace) -> None:
    """Plans and says it; raises ValueError or OSError for what is no data."""
    arguments.folder = take_folder(arguments)
    if not (arguments.folder or arguments.train_data):
        raise WrongUse("a folder of data is missing, or --train-data")
    import tempfile

    from fcos_d2.plan import plan_request
    from fcos_d2.plan.folders import new_folder
    from fcos_d2.plan.write import write_config
    from fcos_deploy.text import say

    from ..training import request_of

    arguments.config = ""
    request = request_of(arguments, None)
    with tempfile.TemporaryDirectory() as folder:
        planned = plan_request(request, folder, timing=arguments.timing)
    say(planned.plan.says())
    if arguments.output:
        planned.cfg.OUTPUT_DIR, _ = new_folder(request)
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        write_config(arguments.output, *planned)
        say(f"wrote {arguments.output}")
