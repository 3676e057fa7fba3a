"""`fcos ui`."""

import argparse
from pathlib import Path

from .. import flags
from ..exit_codes import WrongUse
from ..model_choice import config_of, model_options
from ..values import port

SUMMARY = "try a detector on a page in the browser: boxes, thresholds, why, report"

EXAMPLES = """\
fcos ui --weights output/mine/model_best.pth
fcos ui --weights output/mine/model_best.pth --report output/mine/report --port 9000

The page is for this machine alone, and nothing leaves it. Ctrl-C ends it."""

PORT = 8620
REPORT = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    flags.add_model(parser)
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="of `fcos report`, to read on the page; default: report/ beside the weights",
    )
    parser.add_argument(
        "--port", type=port, default=PORT, help=f"of the page; 0: a free one; default: {PORT}"
    )
    flags.add(parser, "--device")
    flags.add(parser, "--opts")


def run(arguments: argparse.Namespace) -> None:
    """Serves until Ctrl-C, with which it ends as every command does."""
    arguments.config = config_of(arguments)
    report = report_of(arguments)
    from fcos_d2.predictor import Predictor
    from fcos_d2.ui import App, Looker, Server, listen

    listening = listen(arguments.port)  # before what takes long, the model
    predictor = Predictor(**model_options(arguments), device=arguments.device)
    looker = Looker(predictor, arguments.weights or arguments.config)
    server = Server(App(looker, report), listening)
    print(f"{server.url} in a browser on this machine; Ctrl-C ends it", flush=True)
    server.serve_forever()


def report_of(arguments: argparse.Namespace) -> Path | None:
    """The folder of the report: --report, or the one beside the weights, if it is there.

    Raises:
        WrongUse: --report has none.
    """
    if arguments.report is not None:
        if not (arguments.report / REPORT).is_file():
            raise WrongUse(f"--report {arguments.report}: there is no {REPORT} in it")
        return arguments.report
    beside = Path(arguments.weights or "").parent / "report"
    return beside if arguments.weights and (beside / REPORT).is_file() else None
