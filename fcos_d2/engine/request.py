"""What is asked of a training or evaluation, in plain values."""

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Request:
    """One training or evaluation; the command line, a notebook or a test fills it in.

    Attributes:
        config_file: name in the model zoo, or path of a .yaml or .py file; "": a plan makes it.
        opts: overrides of the config: KEY VALUE pairs for yaml, key=value for python configs.
        weights: checkpoint to start from or to evaluate; None: the one that the config names. These
            three win over `opts`.
        output_dir: of the run; None: the config's.
        device: to run on; None: the config's.
        budget: seconds of wall time that the run may take; None: the config's.
        begun: `time.monotonic()` when the command began, from which a budget counts; None: now.
        forecast: train on parts of the labels, too, to tell what more of them would bring.
        resume: go on from the last checkpoint in the output folder.
        eval_only: evaluate the weights that the config names, and train nothing.
        auto_scale: scale learning rate and schedule by the real batch over the config file's.
        folder: of a dataset, see `find_data`; `val_data` wins over what it holds.
        train_data, train_images, val_data, val_images, classes, data_format: data of one's own and
            where their images are, see `register_own_data`.
        check: stop at mistakes in these data; False: train without what is wrong in them.
        trust_checkpoint: the one file of weights that may run code, see `read_checkpoint`.
        trust_config: let the config.yaml of a python config call whatever it names.
        num_gpus: processes on this machine; 0: the CPU.
        num_machines, machine_rank: how many machines, and which of them this is.
        dist_url: where the machines meet; "auto" for one machine.
        verbose: show on the terminal all that log.txt gets.
        epochs: over the training data, for a plan without a budget.
        start: "coco", "scratch" or a file; for a plan also "auto" and "imagenet"; None: what the
            config names, and auto for a plan.
        accept_noncommercial: start from weights whose licence allows no commercial use, too.
        flip: mirror images in a plan; None: where names and pictures of the classes allow it.
    """

    config_file: str
    opts: list[str] = field(default_factory=list)
    weights: str | None = None
    output_dir: str | None = None
    device: str | None = None
    budget: float | None = None
    begun: float | None = None
    forecast: bool = False
    resume: bool = False
    eval_only: bool = False
    auto_scale: bool = False
    folder: str | None = None
    train_data: str | None = None
    train_images: str | None = None
    val_data: str | None = None
    val_images: str | None = None
    classes: str | None = None
    data_format: str = "auto"
    check: bool = True
    trust_checkpoint: str | None = None
    trust_config: bool = False
    num_gpus: int = 1
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = "auto"
    verbose: bool = False
    epochs: float | None = None
    start: str | None = None
    accept_noncommercial: bool = False
    flip: bool | None = None
