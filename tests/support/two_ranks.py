"""One step on a batch of four, in as many processes as started it; rank 0 stores what came out.

Run by test_distributed.py in one process, in two that `launch` starts, and under torchrun.
"""

import sys
from argparse import Namespace

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from fcos_d2 import model_zoo
from fcos_d2.engine.distributed import launch
from fcos_d2.engine.step import StepTrainer
from fcos_d2.engine.wrapping import adapt_sync_batchnorm, wrap_distributed

OPTS = ["MODEL.DEVICE", "cpu", "MODEL.FCOS.NUM_CLASSES", "3"]


def make_batch(boxes_per_image: list[int]) -> list[dict]:
    """Images of one size, because padding depends on which images share a process."""
    generator = torch.Generator().manual_seed(5)
    batch = []
    for count in boxes_per_image:
        instances = Instances((96, 128))
        corners = torch.rand(count, 2, generator=generator) * 60
        sizes = torch.rand(count, 2, generator=generator) * 50 + 10
        instances.gt_boxes = Boxes(torch.cat((corners, corners + sizes), dim=1))
        instances.gt_classes = torch.randint(0, 3, (count,), generator=generator)
        image = torch.randint(0, 256, (3, 96, 128), generator=generator, dtype=torch.uint8)
        batch.append({"image": image, "instances": instances})
    return batch


def main(args: Namespace) -> None:
    torch.manual_seed(0)
    opts = [*OPTS, *args.opts]
    model = model_zoo.get_model("Recipes/R18-Scratch", opts).double().train()
    model = wrap_distributed(adapt_sync_batchnorm(model), broadcast_buffers=False)
    images = make_batch(args.boxes_per_image)
    share = len(images) // comm.get_world_size()
    images = images[comm.get_rank() * share :][:share]
    size = share // args.accumulate_steps
    batches = [images[i : i + size] for i in range(0, share, size)]
    trainer = StepTrainer(
        model, [], torch.optim.SGD(model.parameters()), accumulate_steps=len(batches)
    )
    losses = trainer.accumulate(batches)
    gathered = comm.gather({name: loss.item() for name, loss in losses.items()})
    if comm.is_main_process():
        mean = {name: sum(x[name] for x in gathered) / len(gathered) for name in losses}
        gradients = {
            name.removeprefix("module."): parameter.grad
            for name, parameter in model.named_parameters()
        }
        torch.save({"losses": mean, "gradients": gradients}, args.output)


def arguments(
    processes: int,
    output: str,
    boxes_per_image: list[int],
    accumulate_steps: int = 1,
    opts: tuple[str, ...] = ("MODEL.RESNETS.NORM", "SyncBN"),
) -> Namespace:
    """What `main` takes: processes, batches of each of them, and overrides of the config."""
    return Namespace(
        num_gpus=processes,
        num_machines=1,
        machine_rank=0,
        dist_url="auto",
        output=output,
        boxes_per_image=boxes_per_image,
        accumulate_steps=accumulate_steps,
        opts=opts,
    )


if __name__ == "__main__":
    launch(main, arguments(1, sys.argv[1], [int(x) for x in sys.argv[2].split(",")]))
