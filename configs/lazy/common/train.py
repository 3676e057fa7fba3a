"""Run settings, optimiser and 1x schedule of the published recipe."""

import math

import torch
from detectron2.config import LazyCall as L
from detectron2.solver import WarmupParamScheduler
from detectron2.solver.build import get_default_optimizer_params
from fvcore.common.param_scheduler import MultiStepParamScheduler

train = dict(
    output_dir="./output",
    init_checkpoint="detectron2://ImageNetPretrained/MSRA/R-50.pkl",
    max_iter=90000,
    seed=-1,
    cudnn_benchmark=False,
    amp=dict(enabled=False),  # needs CUDA
    ddp=dict(broadcast_buffers=False),
    max_grad_norm=math.inf,  # as published; a number clips the norm of all gradients together
    checkpointer=dict(period=5000, max_to_keep=100),
    eval_period=10000,
    log_period=20,
    device="cuda",
    # At test time: TEST.SLICE and TEST.AUG of the yaml configs.
    slice=dict(size=0, overlap=0.2, full_image=True),
    tta=dict(enabled=False, min_sizes=[], max_size=4000, flip=True),
)

optimizer = L(torch.optim.SGD)(
    params=L(get_default_optimizer_params)(base_lr="${..lr}", weight_decay_norm=0.0),
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
