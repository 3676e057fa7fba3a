"""Every number that a plan is made with, and the rules that use them.

Sizes are px of the network input, unless they are called shares. A change here changes plans, and
nothing else: configs that are written keep what they say.
"""

import math
from collections.abc import Callable

import numpy as np

# Budgets in seconds where neither --budget nor --epochs is given: in this time a light body learns
# a few hundred images on two cores, and a ResNet-50 a few thousand on a GPU.
DEFAULT_BUDGET_CPU = 20 * 60.0
DEFAULT_BUDGET_GPU = 30 * 60.0
# Share of the budget that the steps of training may take by the plan's estimate. Evaluations,
# start-up and the report need the rest; while it runs, the schedule follows the clock.
STEPS_SHARE = 0.85
# A schedule is written for at least so many; where fewer fit, the clock takes it in larger steps.
LEAST_ITERATIONS = 50
# Real steps are timed before training: share of the budget, and most seconds.
TIMING_SHARE = 0.04
TIMING_SECONDS = 40.0

# Input size. A size must leave time for so many images, and in proportion to its square: larger
# inputs show more, and need more to be learned. Measured on three kinds of blood cells
# (docs/recipes.md), in equal times: 256 px with 740 images AP 54.0, 192 px with 870 49.5; 320 px
# with 1000 54.5, 416 px with 600 52.5, 224 px with 2000 52.5; 384 px with 870 images reached no
# more than 288 px with 730, and with 1500 3.4 to 4.3 AP more.
ENOUGH_IMAGES = 575
# Further ones for each class but the first, as classes have to be told apart; in proportion more
# where an image has fewer objects. Measured on six classes that differ in small print, 3.4 objects
# in an image, in equal times (docs/recipes.md): 384 px with 2150 images AP 21, classes by chance;
# 320 px with 2900 87.5, 256 px with 4540 89.9.
ENOUGH_PER_CLASS = 100
ENOUGH_AT = 288  # px
# Measured on small defects: 448 px with 1120 images beats 224 px with 3200. So below a least
# number of px for the smallest tenth of the objects, images are given up for size, down to:
FEWEST_IMAGES = 500
# An image with more objects than those of blood cells shows more at once, and fewer are needed, by
# the square root (those for further classes in proportion); never fewer than these few, though.
# Measured on 98 tiny objects in an image (docs/recipes.md), 3 minutes: 224 px with 550 images AP
# 13.8, 416 px with 200 images 21.8, 576 px with 100 images 10.5; 8 minutes on one core: 416 px with
# 340 images and P2 28.6, 640 px with 190 images and P3 17.8.
OBJECTS_OF_AN_IMAGE = 14
# Inputs become so large, px, however large the objects are: 192 px stays at AP 50 to 52 on blood
# cells whether it sees 870, 960 or 2640 images.
MODEST_SIZE = 256
# Where so many fit, there is time for a larger size, whatever the objects.
PLENTY_OF_IMAGES = 12000
SMALLEST_TENTH_LEAST = 10.0  # px, a little more than a cell of stride 8
SMALLEST_TENTH_ENOUGH = 64.0  # px, eight cells: larger inputs show little more
SMALLEST_SIZE = 192  # px; below it images show little of anything, and save little time
LARGEST_SIZE = 1280
SIZE_STEP = 32  # the coarsest stride
# Images are enlarged only where their smallest tenth of the objects has fewer px than this.
ENLARGE_BELOW = 16.0
MOST_ENLARGED = 3.0

# Aspect. Short sides become equal; where the long ones differ by more than this factor, objects
# would have very different sizes, and the long sides become equal instead (letterbox).
LETTERBOX_SPREAD = 1.8
LONGEST_ASPECT = 4.0  # longer images are made smaller, as memory is bounded

# Levels. A level learns up to so many strides from a location to a side, as published: 64 px at
# stride 8. A lower limit, among the objects, divides what most of them teach between two levels,
# which costs much in short runs. Measured on objects of 20 to 75 px (docs/recipes.md): with all of
# them on the level of stride 8 AP 37.2 after 380 steps; divided at 28 px 28.6 after 341, 37.8 after
# 481. On blood cells it makes no such difference: 53.4 with 52 px, 52.4 with 80.
BOUND_STRIDES = 8
# Limits are enlarged by the first of these factors with which no more than this share of the
# objects is learned nowhere.
BOUND_FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0)
MISSED = 0.01
LEVEL_SHARE = 0.03  # of all locations that learn; a level with less is left out
P2_BELOW = 8.0  # px of the smallest tenth: one cell of stride 8
# From this length of the largest tenth a level of stride 64 is added.
P6_ABOVE = 512.0

# Several training sizes (shares of the test size) help where images come again and again. Measured
# on blood cells (docs/recipes.md): in 7 epochs at 384 px AP 59.3, at one size, where the loss falls
# and AP does not, 56.3 (and half the learning rate); in 5 epochs at 320 px 57.1 and 56.5, though
# steps were fewer; in 3 epochs at 288 px 53.4 and 53.9.
SIZES_LONG = (0.84, 0.92, 1.0, 1.08, 1.16)
SIZES_FROM_EPOCHS = 5.0

# Strides from a location at which the sides of an untrained box lie. At 0, ReLU gives half of them
# no gradient. Measured (docs/recipes.md), from 0 to 2 strides: AP 41.5 -> 45.0 after 280 steps,
# 24.0 -> 26.9 after 450; blood cells 54.7 -> 55.5 after 400.
FIRST_DISTANCE = 2.0

# Assignment and losses, by start. Measured (docs/recipes.md), by size ranges and task-aligned: AP
# 46.7 and 50.1, 28.2 and 28.7, 54.1 and 55.5 (blood cells) after 280 to 450 steps; on large objects
# 32.2 and 30.2 after 1200. From random weights the paper's led (blood cells, 1000 steps).
TASK_ALIGNED = {
    "MODEL.FCOS.ASSIGNER": "task_aligned",
    "MODEL.FCOS.CLS_LOSS": "quality_focal",
    "MODEL.FCOS.BOX_QUALITY": "none",
    "MODEL.FCOS.LOSS_WEIGHT_LOC": 2.0,
}
SIZE_RANGES = {
    "MODEL.FCOS.ASSIGNER": "size_ranges",
    "MODEL.FCOS.CLS_LOSS": "focal",
    "MODEL.FCOS.BOX_QUALITY": "ctrness",
    "MODEL.FCOS.LOSS_WEIGHT_LOC": 1.0,
}

# Bodies, where the weights to start from leave the choice. From random weights ResNet-18 learned
# most in the same time on a CPU (AP 25.6, EfficientNet-Lite0 10.0).
BODY_CPU, BODY_GPU = "tf_efficientnet_lite0", "resnet50"
SCRATCH_CPU, SCRATCH_GPU = "resnet18", "resnet50"

# Batch and learning rate.
# Measured on a CPU, in equal times: at 224 px, 500 steps of 4 images AP 52.5, 250 of 8 50.9; at
# 320 px, 500 steps of 2 images 54.5, 250 of 4 52.1.
BATCH_CPU, BATCH_GPU = 2, 16
# AdamW at a batch of 2, by start; head and neck are new but for "coco", whose weights all exist.
# Measured with EfficientNet-Lite0 from ImageNet weights (docs/recipes.md), 0.002 beside 0.001: AP
# 27.2 and 33.4 after 1200 steps on large objects; 45.0 and 45.2, 26.9 and 25.8, 55.5 and 54.9 (on
# blood cells) after 280 to 450. With a third of it for the body 51.4, with all of it 54.0.
RATES = {"scratch": 1e-3, "imagenet": 1e-3, "file": 1e-3, "coco": 2e-4}
RATE_BATCH = 2
MOST_RATE_ADAM = 1e-3  # twice as high, see above, is no better on the whole
WEIGHT_DECAY = 0.05
WARMUP_SHARE, MOST_WARMUP = 0.05, 100
# Half-life of the averaged weights, share of the run: long enough to smooth, short enough that
# the average is not still at the weights of the beginning.
EMA_HALF_LIFE = 0.02
# Batch norms keep their statistics in this last share of a run whose batches have few images: in
# less of one that repeats its images often, as the noise of small batches keeps it from learning
# them by heart. Measured (docs/recipes.md): in no part of it, AP 44.7 after 4 epochs, 25.8 after
# 9; in the last half 46.5 and 28.2. After 13 epochs in the last half 28.3, in the last fifth 27.4;
# after 17 in no part 30.2, in the last fifth 31.6.
FIXED_SHARE, FIXED_SHARE_LONG, FEW_EPOCHS, FEW_IMAGES = 0.5, 0.2, 15.0, 8
# Evaluations of a run that is not on a budget (the budget sets its own pace).
EVALUATIONS = 8

# Frozen stages (FREEZE_AT): none. On 205 images of blood cells, 500 steps from ImageNet weights
# gave AP 52.5; 49.9 with all up to stride 8 frozen, which took two thirds of the time.
FREEZE_AT = 0
# Share of the objects that resemble others more than mirrored ones; a half where there is no left
# and right. Measured: 0.67 for writing turned by up to 30 degrees, 0.88 for vehicles that all face
# one side; 0.55 for blood cells (0.59 upside down, as their light comes from above), 0.45 for
# everyday objects. Above it, of a class or of all, images are not mirrored, if it is so many
# standard deviations above a half.
FACING_CLASS, FACING_ALL = 0.7, 0.63
FACING_SURE = 4.0
# Images are mirrored from top to bottom, too, where they come so often (epochs), if a classifier of
# ImageNet is surer of less than this share of them upright. Measured: everyday photographs 0.67,
# blood cells 0.50, drawn sets 0.42 to 0.60. Blood cells, 10 epochs at 384 px: AP 59.2, test 59.9;
# not so 58.7, test 58.4 (one seed).
UPSIDE_DOWN_FROM_EPOCHS = 5.0
HAVE_AN_UP = 0.6
# Mosaic: share of the images, and share of the run, at its end, without it. From random weights it
# brought 3.9 AP (without it in the last fifth). From ImageNet's (docs/recipes.md), without and with
# it: blood cells 55.5 and 57.2 after 4 epochs, 60.5 and 61.5 after 20; one or two objects in an
# image 28.3 and 34.9 after 13 (all images mixed: 32.5), 33.5 and 38.9 after 25. From COCO's it was
# not measured.
MOSAIC, MOSAIC_CLOSE_SHARE = 0.5, 0.3
LIGHT_JITTER = 0.2  # brightness and contrast
COLOUR_JITTER = 0.2  # saturation, where colours tell no classes

# Images without objects are left out: 96 images with one or two objects each gave AP 7.2 in 3
# minutes, and 4.2 with 44 more that had none; in equal steps, 13 epochs, 34.9 and 30.8.
LEAVE_OUT_EMPTY = True

# Selection. The model returns so many times the largest number of objects seen in an image.
DETECTIONS_PER_OBJECT = 1.5
LEAST_DETECTIONS = 100  # as everyone measures
CANDIDATES_PER_DETECTION = 3
LEAST_CANDIDATES = 1000

# Of the memory that is free, a step may take this share; the rest is for the loader and evaluation.
MEMORY_SHARE = 0.7
BYTES_PER_MEGAPIXEL = 2e9  # of a light body in float32, where it could not be measured

MOST_WORKERS_CPU, MOST_WORKERS_GPU = 2, 8

# Seconds of a step: what is assumed before anything is measured (an image; a megapixel of it).
GUESS_CPU = (0.03, 2.0)
GUESS_GPU = (0.002, 0.03)


def default_budget(is_cpu: bool) -> float:
    """Seconds of a run for which nobody says how long."""
    return DEFAULT_BUDGET_CPU if is_cpu else DEFAULT_BUDGET_GPU


def timing_seconds(budget: float) -> float:
    """How long steps may be timed."""
    return min(TIMING_SHARE * budget, TIMING_SECONDS)


def largest_size(native: int, smallest_tenth: float) -> int:
    """The largest short side that shows more than a smaller one, px.

    Args:
        native: short side of the images, px.
        smallest_tenth: side that a tenth of the objects fall short of, share of the short side.
    """
    seen = smallest_tenth * native  # px in the image itself
    zoom = min(max(ENLARGE_BELOW / max(seen, 1e-6), 1.0), MOST_ENLARGED)
    return min(multiple(native * zoom, down=zoom == 1.0), LARGEST_SIZE)


def size_for(pixels: float, smallest_tenth: float) -> int:
    """The short side at which the smallest tenth of the objects has so many px."""
    return multiple(min(pixels / max(smallest_tenth, 1e-6), 10 * LARGEST_SIZE))


def input_size(
    native: int,
    smallest_tenth: float,
    num_classes: int,
    objects: float,
    affordable: Callable[[Callable[[int], float]], int],
) -> tuple[int, str]:
    """The short side of the network input, and why.

    Args:
        native, smallest_tenth: see `largest_size`.
        num_classes: to tell apart.
        objects: in an image, on average.
        affordable: the largest size at which there is time to learn from so many images, which may
            depend on the size.
    """
    most = largest_size(native, smallest_tenth)
    least = min(size_for(SMALLEST_TENTH_LEAST, smallest_tenth), most)
    enough = max(size_for(SMALLEST_TENTH_ENOUGH, smallest_tenth), MODEST_SIZE)
    enough = min(max(enough, affordable(lambda _: PLENTY_OF_IMAGES)), most)
    scarce = OBJECTS_OF_AN_IMAGE / max(objects, 1)
    images = min(1.0, scarce) ** 0.5 * ENOUGH_IMAGES
    images += scarce * ENOUGH_PER_CLASS * (num_classes - 1)
    in_time = affordable(lambda size: images * (size / ENOUGH_AT) ** 2)
    at_worst = affordable(lambda _: FEWEST_IMAGES)
    floor = min(SMALLEST_SIZE, most)
    size = max(min(enough, in_time), min(least, at_worst), floor)
    seen = f"the smallest tenth of the objects has {smallest_tenth * size:.0f} px there"
    if size == most:
        return size, f"{seen}; as large as the images"
    if size >= enough:
        return size, f"{seen}; more px would show little more"
    if size > max(in_time, floor):
        return size, f"{seen}, and needs them more than further images"
    return size, f"{seen}; larger ones would leave time for too few images"


def multiple(size: float, down: bool = False) -> int:
    """The nearest multiple of the coarsest stride, at least one of it."""
    count = size / SIZE_STEP
    return SIZE_STEP * max(math.floor(count + 1e-6) if down else round(count), 1)


def long_side(size: int, aspects: np.ndarray) -> int:
    """The longest that the long side of an image may become, px."""
    aspect = min(float(np.quantile(aspects, 0.95)), LONGEST_ASPECT)
    return SIZE_STEP * math.ceil(size * aspect / SIZE_STEP - 0.01)


def training_sizes(size: int, epochs: float) -> tuple[int, ...]:
    """The short sides that training draws from."""
    if epochs < SIZES_FROM_EPOCHS:
        return (size,)
    return tuple(dict.fromkeys(multiple(size * x) for x in SIZES_LONG))


def strides_for(smallest_tenth: float, largest_tenth: float) -> list[int]:
    """The strides of the levels to begin with; those that learn nothing are left out later.

    Args:
        smallest_tenth: px that a tenth of the objects fall short of (root of the area).
        largest_tenth: px that a tenth of them exceed (longer side).
    """
    strides = [8, 16, 32]
    if smallest_tenth < P2_BELOW:
        strides.insert(0, 4)
    if largest_tenth > P6_ABOVE:
        strides.append(64)
    return strides


def size_bounds(strides: list[int], factor: float = 1.0) -> list[int]:
    """Limits of max(ltrb) between the levels, px.

    Args:
        strides: of the levels.
        factor: by which limits are larger than the published ones.
    """
    return [4 * round(factor * BOUND_STRIDES * finer / 4) for finer in strides[:-1]]


def learning_rate(start: str, batch: int, optimizer: str) -> float:
    """By the square root of the batch for Adam, whose steps are normalised; linear for SGD.

    Args:
        start: the weights to begin with.
        batch: images of a step.
        optimizer: as SOLVER.OPTIMIZER.
    """
    factor = batch / RATE_BATCH
    if optimizer == "SGD":
        return float(f"{RATES[start] * factor:.3g}")
    return float(f"{min(RATES[start] * factor**0.5, MOST_RATE_ADAM):.3g}")


def precision(kind: str, has_bf16: bool, body: str) -> str:
    """Of the convolutions in training on a kind of device ("cpu", "cuda", ...).

    On CPUs with bf16, ResNet-18's steps took 0.6 times as long with it; those of depthwise
    convolutions, as in EfficientNet, gained nothing.
    """
    if kind == "cuda":
        return "bf16" if has_bf16 else "fp16"
    return "bf16" if has_bf16 and body.startswith("resnet") else "fp32"


def accumulation(batch: int, step_bytes: float, memory: float) -> int:
    """The batches that the images of a step come in, so that one of them fits into the memory.

    Args:
        batch: images of a step.
        step_bytes: that all of them take at once.
        memory: bytes that are free.
    """
    fitting = MEMORY_SHARE * memory
    divisors = (x for x in range(1, batch + 1) if batch % x == 0)
    return next((x for x in divisors if step_bytes / x <= fitting), batch)


def ema_decay(iterations: int) -> float:
    """The share of the average that an iteration keeps."""
    return round(0.5 ** (1 / max(EMA_HALF_LIFE * iterations, 1)), 6)


def task_aligned(start: str, kind: str) -> bool:
    """Whether the predictions decide which locations learn an object.

    Args:
        start: the weights to begin with.
        kind: of the device; the assignment computes in float64, which not all have.
    """
    return start == "imagenet" and kind in ("cpu", "cuda")


def fixed_statistics_share(batch: int, epochs: float) -> float:
    """The last share of the run in which batch norms keep their statistics."""
    if batch > FEW_IMAGES:
        return 0.0
    return FIXED_SHARE if epochs <= FEW_EPOCHS else FIXED_SHARE_LONG


def warmup(iterations: int) -> int:
    """Iterations in which the learning rate rises."""
    return max(1, min(round(WARMUP_SHARE * iterations), MOST_WARMUP))


def detections(most_objects: int) -> int:
    """The most detections of an image."""
    wanted = DETECTIONS_PER_OBJECT * most_objects
    return max(LEAST_DETECTIONS, 100 * math.ceil(wanted / 100))


def workers(cores: int, is_cpu: bool) -> int:
    """Processes that load images."""
    return min(cores, MOST_WORKERS_CPU if is_cpu else MOST_WORKERS_GPU)
