"""The parts of a proposal generator, from their options by name."""

import dataclasses

from fcos_d2.modeling import (
    ATSSAssigner,
    Criterion,
    FCOSHead,
    FCOSProposalGenerator,
    FocalLoss,
    LossNormalizers,
    QualityFocalLoss,
    Selection,
    SizeRangeAssigner,
    TaskAlignedAssigner,
    VarifocalLoss,
)

ASSIGNERS = {
    "size_ranges": SizeRangeAssigner,
    "atss": ATSSAssigner,
    "task_aligned": TaskAlignedAssigner,
}
CLS_LOSSES = {"focal": FocalLoss, "quality_focal": QualityFocalLoss, "varifocal": VarifocalLoss}


def generator_of(
    head: FCOSHead,
    size_bounds: list[float],
    *,
    assigner: str = "size_ranges",
    cls_loss: str = "focal",
    loss_normalizer: str = "fg",
    train_selection: Selection | None = None,
    **options: object,
) -> FCOSProposalGenerator:
    """A generator whose levels meet at `size_bounds`, where its rule knows sizes.

    Args:
        options: of rule, classification loss, criterion, selection at test time and generator; no
            two of them have an option of the same name.
    """

    def take(part: type) -> dict:
        names = [field.name for field in dataclasses.fields(part) if field.name in options]
        return {name: options.pop(name) for name in names}

    if assigner == "size_ranges":
        options["size_bounds"] = size_bounds
    return FCOSProposalGenerator(
        head=head,
        assigner=ASSIGNERS[assigner](**take(ASSIGNERS[assigner])),
        criterion=Criterion(
            cls_loss=CLS_LOSSES[cls_loss](**take(CLS_LOSSES[cls_loss])), **take(Criterion)
        ),
        normalizer=LossNormalizers(kind=loss_normalizer),
        train_selection=train_selection,
        test_selection=Selection(**take(Selection)),
        **options,
    )
