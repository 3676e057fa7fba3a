"""Run settings, optimiser and 1x schedule of the published recipe."""

import math

import torch
from detectron2.config import LazyCall as L
from detectron2.solver import WarmupParamScheduler
from fvcore.common.param_scheduler import MultiStepParamScheduler

from fcos_d2.engine.optimizer import parameter_groups

train = dict(
    output_dir="./output",
    init_checkpoint="detectron2://ImageNetPretrained/MSRA/R-50.pkl",
    max_iter=90000,
    # Seconds of wall time for the whole run; 0: no limit. See SOLVER.BUDGET.
    budget=0.0,
    seed=-1,
    cudnn_benchmark=False,
    amp=dict(enabled=False, precision="fp16"),  # "bf16" runs on CPUs, too
    # Batches that the images of an iteration come in.
    accumulate_steps=1,
    # Moving mean of the weights, evaluated and saved instead of them; the weights of the last
    # iteration are evaluated, too, where evaluate_raw is on.
    ema=dict(enabled=False, decay=0.9998, evaluate_raw=False),
    # The last share of the run in which batch norms that learn keep their statistics.
    fixed_statistics_share=0.0,
    ddp=dict(broadcast_buffers=False),
    max_grad_norm=math.inf,  # as published; a number clips the norm of all gradients together
    # "value" or "norm" clips each gradient by itself, too.
    clip_each_parameter=dict(type="", value=1.0),
    checkpointer=dict(period=5000, max_to_keep=100),
    eval_period=10000,
    # The losses on the test sets at each evaluation, which takes about twice as long with them.
    validation_loss=False,
    # Its largest value, of the first of several test sets, is kept in model_best.pth; "" for none.
    best_metric="bbox/AP",
    # Evaluations without a better one that end the run; 0: none do.
    early_stop_patience=0,
    # Of several processes: minutes in which one makes no progress that end the run; 0: never.
    stall_minutes=10.0,
    log_period=20,
    # Beside the terminal and metrics.json: "tensorboard", "wandb", "mlflow"; test images drawn at
    # each evaluation.
    logging=dict(backends=["tensorboard"], project="fcos_d2", run_name="", images=0),
    device="cuda",
    # Lowest score of a detection, for all classes or each: TEST.SCORE_THRESH of the yaml configs.
    score_thresh=None,
    # At test time: TEST.SLICE and TEST.AUG of the yaml configs.
    slice=dict(size=0, overlap=0.2, full_image=True),
    tta=dict(enabled=False, min_sizes=[], max_size=4000, flip=True),
)

optimizer = L(torch.optim.SGD)(
    params=L(parameter_groups)(
        base_lr="${..lr}",
        layer_decay=1.0,
        backbone_lr_factor=1.0,
        weight_decay_norm=0.0,
        train="${train}",
    ),
    lr=0.01,
    momentum=0.9,
    weight_decay=1e-4,
)

# Milestones count in 90000 steps whatever train.max_iter is, so a longer run stretches them.
lr_multiplier = L(WarmupParamScheduler)(
    scheduler=L(MultiStepParamScheduler)(
        values=[1.0, 0.1, 0.01], milestones=[60000, 80000], num_updates=90000
    ),
    warmup_length=1000 / 90000,
    warmup_factor=0.001,
)
