"""From the command line of a training or evaluation to the processes that run it."""

import argparse
import logging
import os
import sys
from dataclasses import fields
from functools import partial

from fcos_d2 import keep_freed_memory
from fcos_d2.engine import Request, launch, run
from fcos_deploy.door import enter

from .model_choice import overrides_of


def start(arguments: argparse.Namespace, **settings: object) -> int:
    """Trains or evaluates in as many processes as asked for; returns the exit code.

    Args:
        arguments: of the command.
        settings: of the request, where they are no flag of the command.
    """
    launch(process, request_of(arguments, output_dir=arguments.output, **settings))
    return 0


def start_planned(request: Request) -> int:
    """Plans, says the plan, and trains by it; with --resume, by the plan of before.

    Args:
        request: without a config.
    """
    from fcos_d2.plan.folders import folder_to_resume, new_folder
    from fcos_deploy.text import say

    if request.resume:
        request.output_dir = folder_to_resume(request)
        request.config_file = os.path.join(request.output_dir, "config.yaml")
    else:
        request.output_dir, line = new_folder(request)
        say(line)
        write_planned(request, request.output_dir)
    request.start = None  # the plan has chosen
    launch(process, request)
    return 0


def write_planned(request: Request, output_dir: str) -> None:
    """Plans, says the plan, and names its config in the request."""
    from fcos_d2.plan import plan_request, write_plan
    from fcos_deploy.text import say

    planned = plan_request(request, output_dir)
    say(planned.plan.says())
    request.config_file = write_plan(planned)
    say(f"wrote {request.config_file}")


def request_of(
    arguments: argparse.Namespace, output_dir: str | None, **settings: object
) -> Request:
    """What the engine is asked to do.

    Args:
        arguments: of the command.
        output_dir: folder of the run; None for the config's.
        settings: of the request, where they are no flag of the command.
    """
    names = [field.name for field in fields(Request)]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    given |= {"config_file": arguments.config or "", "opts": overrides_of(arguments)}
    return Request(**given | {"output_dir": output_dir} | settings)


def process(request: Request) -> None:
    """What each process does; ends it with the exit code where there is one."""
    keep_freed_memory()  # also in those that `launch` starts
    logging.raiseExceptions = False  # a line that a full disk swallows is no reason for a trace
    if code := enter(partial(_run, request)):
        sys.exit(code)


def _run(request: Request) -> None:
    """The results of a run are no exit code."""
    run(request)
