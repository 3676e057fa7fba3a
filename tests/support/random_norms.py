"""Random statistics for the norms of a model, so that leaving one out is noticed."""

from torch import nn


def randomise_norms(model: nn.Module) -> nn.Module:
    """Draws scale, shift and statistics of all norms; returns `model` for inference."""
    for module in model.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.data.normal_(std=0.1)
            module.running_var.data.uniform_(0.8, 1.2)
            module.weight.data.uniform_(0.8, 1.2)
            module.bias.data.normal_(std=0.1)
    return model.eval()
