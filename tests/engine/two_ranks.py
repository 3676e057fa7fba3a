"""One step on a batch of four, in as many processes as started it; rank 0 stores what came out.

Run by test_distributed.py in one process, in two that `launch` starts, and under torchrun.
"""

import sys
from argparse import Namespace

import torch
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

from fcos_d2 import model_zoo
from fcos_d2.engine.distributed import adapt_sync_batchnorm, launch, wrap_distributed

OPTS = ["MODEL.DEVICE", "cpu", "MODEL.FCOS.NUM_CLASSES", "3", "MODEL.RESNETS.NORM", "SyncBN"]


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
    model = model_zoo.get_model("Recipes/R18-Scratch", OPTS).double().train()
    model = wrap_distributed(adapt_sync_batchnorm(model), broadcast_buffers=False)
    share = len(args.boxes_per_image) // comm.get_world_size()
    first = comm.get_rank() * share
    losses = model(make_batch(args.boxes_per_image)[first : first + share])
    sum(losses.values()).backward()
    gathered = comm.gather({name: loss.item() for name, loss in losses.items()})
    if comm.is_main_process():
        mean = {name: sum(x[name] for x in gathered) / len(gathered) for name in losses}
        gradients = {
            name.removeprefix("module."): parameter.grad
            for name, parameter in model.named_parameters()
        }
        torch.save({"losses": mean, "gradients": gradients}, args.output)


def arguments(processes: int, output: str, boxes_per_image: list[int]) -> Namespace:
    return Namespace(
        num_gpus=processes,
        num_machines=1,
        machine_rank=0,
        dist_url="auto",
        output=output,
        boxes_per_image=boxes_per_image,
    )


if __name__ == "__main__":
    launch(main, arguments(1, sys.argv[1], [int(x) for x in sys.argv[2].split(",")]))
