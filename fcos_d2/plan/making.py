"""The plan for a training set on a machine: each decision with its reason."""

from ..checkpoint.starts import IN_WORDS, Start
from ..engine.durations import in_words as duration
from . import bodies, rules
from .amounts import Amounts, Wanted
from .decisions import Decision, Plan, with_yours
from .facts import Facts
from .machine import Machine
from .sizes import StepCost
from .wording import count, epochs_in_words, facts_in_words, listed, share


def make_plan(
    facts: Facts, machine: Machine, wanted: Wanted, start: Start, cost: StepCost | None = None
) -> Plan:
    """The plan; the same for the same arguments.

    Args:
        facts: of the training set.
        machine: to train on.
        wanted: by the user, whose settings win, and which the other decisions follow.
        start: the weights to begin with.
        cost: of a step, as measured; None: assumed.
    """
    amounts = Amounts(facts=facts, machine=machine, wanted=wanted, start=start, cost=cost)
    decisions = [decide(amounts) for decide in _DECISIONS]
    return Plan(
        decisions=tuple(with_yours(decisions, amounts.given)),
        opts=wanted.opts,
        epochs=amounts.epochs,
        facts=facts_in_words(facts),
        advice=tuple(_advice(amounts)),
    )


def _model(amounts: Amounts) -> Decision:
    name = bodies.in_words(amounts.body)
    where = "a CPU" if amounts.machine.is_cpu else "a GPU"
    kind = "light enough for" if bodies.is_light(amounts.body) else "fit for"
    values = {
        "VERSION": 2,
        "MODEL.DEVICE": amounts.machine.device,
        "MODEL.FCOS.NUM_CLASSES": len(amounts.facts.class_names),
    }
    return Decision(
        title="model",
        values=values,
        shown=f"FCOS with {name}",
        reason=f"{kind} {where}: {amounts.machine.name}",
    )


def _beginning(amounts: Amounts) -> Decision:
    reason = f"from {amounts.start.source}; licence: {amounts.start.licence}"
    if amounts.start.name == "scratch":
        reason = amounts.start.source
    elif amounts.start.name == "file":
        reason = f"licence: {amounts.start.licence}"
    return Decision(
        title="start",
        values={"MODEL.WEIGHTS": amounts.start.weights},
        shown=IN_WORDS.get(amounts.start.name, amounts.start.source),
        reason=reason,
    )


def _size(amounts: Amounts) -> Decision:
    size, why = amounts.chosen_size
    resize = amounts.resize
    sizes = rules.training_sizes(size, amounts.epochs)
    values: dict[str, object] = {
        "INPUT.MIN_SIZE_TRAIN": sizes,
        "INPUT.ONE_SIZE_PER_BATCH": len(sizes) > 1,  # else a ninth of the pixels pads
        "INPUT.MAX_SIZE_TRAIN": rules.multiple(resize.longest * max(sizes) / size),
        "INPUT.MIN_SIZE_TEST": size,
        "INPUT.MAX_SIZE_TEST": resize.longest,
    }
    shown = f"short side {size} px, long side up to {resize.longest}"
    if len(sizes) > 1:
        shown += f"; in training {min(sizes)} to {max(sizes)}"
    if resize.letterbox:
        values |= {
            "INPUT.RESIZE_RULE_TRAIN": "letterbox",
            "INPUT.RESIZE_RULE_TEST": "letterbox",
            "INPUT.SQUARE_SIZE": resize.longest,
        }
        shown = f"long side {resize.longest} px, padded to a square"
        why += f"; images differ in shape ({amounts.facts.aspect_spread:.1f} times)"
    return Decision(title="input", values=values, shown=shown, reason=why)


def _levels(amounts: Amounts) -> Decision:
    strides, bounds, shares = amounts.level_choice
    values = bodies.model_keys(amounts.body, strides, bounds, amounts.start.settings)
    aligned = rules.task_aligned(amounts.start.name, amounts.machine.kind)
    verb = "suits" if aligned else "learns"
    each = zip(strides, shares, strict=True)
    shown = ", ".join(f"P{s.bit_length() - 1} {verb} {share(x)}" for s, x in each)
    limits = " and ".join(map(str, bounds))
    reason = f"divided at {limits} px to the farthest side" if bounds else "one is enough"
    if bounds and aligned:
        reason = "by size; predictions decide where an object is learned"
    if strides[0] == 4:
        reason += "; P2 is for objects below 8 px"
    return Decision(title="levels", values=values, shown=shown, reason=reason)


def _assignment(amounts: Amounts) -> Decision:
    aligned = rules.task_aligned(amounts.start.name, amounts.machine.kind)
    shown = "size and centre of an object say which locations learn it"
    reason = "as in the paper"
    if aligned:
        shown = "the locations that predict an object best learn it, and scores learn their IoU"
        reason = "more exact boxes in the same time"
    values = rules.TASK_ALIGNED if aligned else rules.SIZE_RANGES
    return Decision(title="", values=dict(values), shown=shown, reason=reason)


def _first_boxes(amounts: Amounts) -> Decision:
    return Decision(
        title="",
        values={"MODEL.FCOS.BOX_BIAS_INIT": rules.FIRST_DISTANCE},
        shown=f"untrained boxes have sides {rules.FIRST_DISTANCE:g} strides away",
        reason="nearer to 0, ReLU would keep some of them from learning",
    )


def _batch_decision(amounts: Amounts) -> Decision:
    parts = amounts.parts
    shown, reason = count(amounts.batch, "image"), "fits into the memory"
    if parts > 1:
        shown += f", {amounts.batch // parts} at a time"
        reason = "all at once would not fit into the memory"
    return Decision(
        title="batch",
        values={"SOLVER.IMS_PER_BATCH": amounts.batch, "SOLVER.ACCUMULATE_STEPS": parts},
        shown=shown,
        reason=reason,
    )


def _length(amounts: Amounts) -> Decision:
    values: dict[str, object] = {
        "SOLVER.MAX_ITER": amounts.iterations,
        "SOLVER.WARMUP_ITERS": rules.warmup(amounts.iterations),
        "SOLVER.LR_SCHEDULER_NAME": "WarmupCosineLR",
    }
    shown = f"about {count(amounts.iterations, 'iteration')} ({epochs_in_words(amounts.epochs)})"
    each = f"{amounts.step_seconds:.2f} s a step"
    each += " measured here" if amounts.step_cost.measured else " assumed"
    if amounts.wanted.budget is None:
        takes = duration(amounts.iterations * amounts.step_seconds)
        return Decision(title="length", values=values, shown=shown, reason=f"{each}: {takes}")
    reason = f"{each}, {duration(amounts.wanted.budget)} in all; the clock decides in the end"
    if amounts.wanted.by_default:
        reason += "; no --budget was given"
    return Decision(title="length", values=values, shown=shown, reason=reason)


def _precision(amounts: Amounts) -> Decision:
    precision = rules.precision(amounts.machine.kind, amounts.machine.has_bf16, amounts.body)
    values = {
        "SOLVER.AMP.ENABLED": precision != "fp32",
        "SOLVER.AMP.PRECISION": "fp16" if precision == "fp32" else precision,
    }
    reason = "a step takes least time with it here"
    return Decision(title="precision", values=values, shown=precision, reason=reason)


def _rate(amounts: Amounts) -> Decision:
    optimizer = str(amounts.given_or("SOLVER.OPTIMIZER", "AdamW"))
    rate = rules.learning_rate(amounts.start.name, amounts.batch, optimizer)
    values = {
        "SOLVER.OPTIMIZER": optimizer,
        "SOLVER.BASE_LR": rate,
        "SOLVER.WEIGHT_DECAY": rules.WEIGHT_DECAY,
    }
    return Decision(
        title="learning",
        values=values,
        shown=f"{optimizer}, rate {rate:g}, half a cosine down to 0",
        reason=f"for a batch of {amounts.batch}, and this start",
    )


def _average(amounts: Amounts) -> Decision:
    decay = rules.ema_decay(amounts.iterations)
    half_life = max(round(rules.EMA_HALF_LIFE * amounts.iterations), 1)
    return Decision(
        title="average",
        values={"SOLVER.EMA.ENABLED": True, "SOLVER.EMA.DECAY": decay},
        shown=f"of the weights, half-life {count(half_life, 'iteration')}",
        reason="steadier than the last weights, and does not lag",
    )


def _statistics(amounts: Amounts) -> Decision:
    share = rules.fixed_statistics_share(amounts.batch, amounts.epochs)
    part = "half" if share == rules.FIXED_SHARE else "fifth"
    return Decision(
        title="",
        values={"SOLVER.FIXED_STATISTICS_SHARE": share},
        shown=f"batch norms keep their statistics in the last {part} of the run" if share else "",
        reason=f"those of {amounts.batch} images differ from those of all, which a test uses",
    )


def _frozen(amounts: Amounts) -> Decision:
    values = {"MODEL.BACKBONE.FREEZE_AT": rules.FREEZE_AT}
    reason = "frozen stages save time, but cost more than it brings"
    return Decision(title="frozen", values=values, shown="nothing", reason=reason)


def _mirror(amounts: Amounts) -> Decision:
    speaking, facing = amounts.facts.with_a_side, amounts.facts.one_sided
    flip = not (speaking or facing) if amounts.wanted.flip is None else amounts.wanted.flip
    reason = "no class has a left and a right, by its name or its pictures"
    if speaking:
        reason = f"{listed(speaking)}: mirrored, they are something else"
    elif facing:
        reason = f"{listed(facing)}: mirrored, they look like nothing in these pictures"
    direction, shown = "horizontal", "half of the images"
    if not flip:
        direction, shown = "none", "none; --flip allows it"
    elif amounts.wanted.flip is None and amounts.facts.same_upside_down:
        direction, shown = "both", "half of the images, and half from top to bottom"
        reason = "no class has a left and a right, and the pictures have no up and down"
    if amounts.wanted.flip is not None:
        reason = "yours"
    values = {"INPUT.RANDOM_FLIP": direction}
    return Decision(title="mirrored", values=values, shown=shown, reason=reason)


def _colour(amounts: Amounts) -> Decision:
    telling = amounts.facts.with_a_colour
    jitter, colour = rules.LIGHT_JITTER, 0.0 if telling else rules.COLOUR_JITTER
    values = {
        "INPUT.COLOR_JITTER.BRIGHTNESS": jitter,
        "INPUT.COLOR_JITTER.CONTRAST": jitter,
        "INPUT.COLOR_JITTER.SATURATION": colour,
    }
    shown = "brightness and contrast change" + (", saturation too" if colour else "")
    reason = "no class is named by a colour"
    if telling:
        reason = f"{listed(telling)} are told by their colour"
    return Decision(title="colours", values=values, shown=shown, reason=reason)


def _mixing(amounts: Amounts) -> Decision:
    closed = rules.MOSAIC_CLOSE_SHARE
    return Decision(
        title="mixing",
        values={"INPUT.MIX.MOSAIC_PROB": rules.MOSAIC, "INPUT.MIX.CLOSE_SHARE": closed},
        shown=f"Mosaic in half of the images, until the last {closed:.0%} of the run",
        reason="few images make many scenes; the end looks like what comes later",
    )


def _background(amounts: Amounts) -> Decision:
    empty, all_images = amounts.facts.num_empty, amounts.facts.num_images
    key = "DATALOADER.FILTER_EMPTY_ANNOTATIONS"
    return Decision(
        title="background" if empty else "",
        values={key: rules.LEAVE_OUT_EMPTY},
        shown=f"{empty:,} of {all_images:,} images, which have no object, are left out",
        reason=f"more objects are seen in the time; {key} False learns from all",
    )


def _selection(amounts: Amounts) -> Decision:
    most = amounts.facts.most_objects
    keep = rules.detections(most)
    counted = rules.detections(amounts.facts.most_of_a_class)
    candidates = max(rules.LEAST_CANDIDATES, rules.CANDIDATES_PER_DETECTION * keep)
    values = {
        "MODEL.FCOS.POST_NMS_TOPK_TEST": keep,
        "MODEL.FCOS.PRE_NMS_TOPK_TEST": candidates,
        "TEST.COCO_MAX_DETECTIONS": counted,
    }
    shown = f"at most {keep:,} in an image"
    reason = f"one holds {count(most, 'object')}"
    return Decision(title="detections", values=values, shown=shown, reason=reason)


def _pace(amounts: Amounts) -> Decision:
    if amounts.wanted.budget is not None:
        values = {"SOLVER.BUDGET": amounts.wanted.budget, "TEST.EVAL_PERIOD": 0}
        shown = "up to ten times, in at most a twentieth of the time"
        reason = "the best weights are kept"
        return Decision(title="evaluated", values=values, shown=shown, reason=reason)
    every = max(round(amounts.iterations / rules.EVALUATIONS), 1)
    values = {"TEST.EVAL_PERIOD": every, "SOLVER.CHECKPOINT_PERIOD": every}
    shown = f"every {count(every, 'iteration')}, with a checkpoint"
    reason = f"{count(rules.EVALUATIONS, 'time')} in all; the best weights are kept"
    return Decision(title="evaluated", values=values, shown=shown, reason=reason)


def _loading(amounts: Amounts) -> Decision:
    number = rules.workers(amounts.machine.cores, amounts.machine.is_cpu)
    return Decision(
        title="",
        values={"DATALOADER.NUM_WORKERS": number},
        shown=f"images are loaded by {count(number, 'process', 'processes')}",
        reason=f"{count(amounts.machine.cores, 'core')} are there",
    )


def _advice(amounts: Amounts) -> list[str]:
    """What would bring more than this plan can."""
    px = amounts.facts.side(0.1) * amounts.resize.size
    if px < rules.SMALLEST_TENTH_LEAST and amounts.facts.native > 2 * amounts.resize.size:
        return [
            f"a tenth of the objects has less than {px:.0f} px at this size; tiles show them "
            "larger: fcos convert FOLDER --slice 640, then train on what it writes"
        ]
    return []


# In the order in which people read them.
_DECISIONS = (
    _model,
    _beginning,
    _size,
    _levels,
    _assignment,
    _first_boxes,
    _batch_decision,
    _length,
    _precision,
    _rate,
    _average,
    _statistics,
    _frozen,
    _mirror,
    _colour,
    _mixing,
    _background,
    _selection,
    _pace,
    _loading,
)
