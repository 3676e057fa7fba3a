"""Winograd's minimal filtering F(4, 3): 3x3 convolutions with a quarter of the products, on CPUs.

Four outputs in a row of a filter with three taps need six products instead of twelve. Nested in
both directions, a tile of 4 x 4 outputs comes from 6 x 6 inputs by 36 products a pair of channels
instead of 144. Source: arXiv 1509.09308, F(4x4, 3x3) and its matrices.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .head import FCOSHead

TILE = 4  # side of the outputs of a tile, cells
PATCH = TILE + 2  # side of the inputs that they see

# What the transforms were seen to pay from. They grow with the channels, products with the square.
MIN_CELLS = 16 * 23
MIN_CHANNELS = 192

# output = OUTPUT @ [(KERNEL @ kernel) * (INPUT @ input)], for each of the two directions.
INPUT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
KERNEL = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
OUTPUT = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1 by F(4, 3), the same up to rounding.

    Rounding errors of one layer are about four times those of the direct way. For inference alone:
    the transformed kernels are made once and do not learn. They take four times the memory of the
    kernels, which stay for small maps.
    """

    def __init__(self, conv: nn.Conv2d, *, min_cells: int = MIN_CELLS) -> None:
        """
        Args:
            conv: the convolution (C -> D channels), with its final weights.
            min_cells: maps of fewer cells (height x width) are convolved directly.

        Raises:
            ValueError: `conv` is of another kind, or not in float32 on a CPU.
        """
        super().__init__()
        if not is_replaceable(conv):
            raise ValueError(
                "Winograd needs a Conv2d of kernel 3, stride 1, zero padding 1, dilation 1 and one "
                f"group, got {conv}"
            )
        weight = conv.weight.detach()
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            raise ValueError(
                f"Winograd is for torch.float32 on 'cpu', got weights in {weight.dtype} on "
                f"'{weight.device.type}': use the model without it"
            )
        self.conv = conv
        self.min_cells = min_cells
        self.kernels: Tensor
        self.input_transform: Tensor
        self.output_transform: Tensor
        # They follow from the weights, so checkpoints do without them.
        self.register_buffer("kernels", transform_kernels(weight), persistent=False)
        self.register_buffer("input_transform", nested(INPUT), persistent=False)  # (36, 36)
        self.register_buffer("output_transform", nested(OUTPUT), persistent=False)  # (16, 36)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H, W), in the channels-last layout where not direct."""
        (n, c, h, w), d = x.shape, self.conv.out_channels
        if h * w < self.min_cells:
            return self.conv(x)
        rows, columns = -(-h // TILE), -(-w // TILE)
        num_tiles = n * rows * columns
        patches = gather_patches(x, rows, columns).view(PATCH**2, num_tiles * c)
        patches = torch.mm(self.input_transform, patches).view(PATCH**2, num_tiles, c)
        products = torch.bmm(patches, self.kernels).view(PATCH**2, num_tiles * d)
        tiles = torch.mm(self.output_transform, products).view(TILE, TILE, n, rows, columns, d)
        out = join_tiles(tiles, h, w)
        return (out if self.conv.bias is None else out + self.conv.bias).permute(0, 3, 1, 2)


def use_winograd(
    head: FCOSHead, *, min_cells: int = MIN_CELLS, min_channels: int = MIN_CHANNELS
) -> None:
    """Replaces the convolutions of the towers, in place, in a head that will not be trained.

    Deformable convolutions stay, and the predictors, which have few outputs.

    Args:
        head: in float32 on a CPU, with its final weights.
        min_cells: see `WinogradConv2d`.
        min_channels: convolutions of fewer input channels stay.

    Raises:
        ValueError: no convolution to replace, or weights of another type or on another device.
    """
    towers = [head.share_tower, head.cls_tower, head.bbox_tower]
    replace_convolutions(towers, min_cells=min_cells, min_channels=min_channels)


def replace_convolutions(
    towers: Sequence[nn.ModuleList | nn.Sequential], *, min_cells: int, min_channels: int
) -> None:
    """`use_winograd` for towers of any kind; layers that towers share stay shared."""
    replaced: dict[nn.Module, WinogradConv2d] = {}
    for tower in towers:
        for i, layer in enumerate(tower):
            if is_replaceable(layer) and layer.in_channels >= min_channels:
                if layer not in replaced:
                    replaced[layer] = WinogradConv2d(layer, min_cells=min_cells)
                tower[i] = replaced[layer]
    if not replaced:
        raise ValueError(
            f"Winograd makes plain 3x3 convolutions of {min_channels} or more channels faster, and "
            "the towers of this head have none: use the model without it"
        )


def is_replaceable(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether F(4, 3) can compute it: a plain 3x3 convolution that keeps the size."""
    # A subclass may do more than convolve.
    return type(layer) is nn.Conv2d and (
        (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
        == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
        and layer.padding_mode == "zeros"
    )


def transform_kernels(weight: Tensor) -> Tensor:
    """The factors that kernels (D, C, 3, 3) give to the 36 products: (36, C, D)."""
    # In double precision, so that nothing but the result is rounded.
    matrix = torch.tensor(KERNEL, dtype=torch.float64)
    kernels = torch.einsum("iy,dcyx,jx->ijcd", matrix, weight.double(), matrix)
    return kernels.flatten(0, 1).to(weight.dtype).contiguous()


def nested(matrix: list[list[int]]) -> Tensor:
    """A transform of a row (A, B) as one of a flattened square: (A * A, B * B)."""
    square = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(square, square)


def gather_patches(x: Tensor, rows: int, columns: int) -> Tensor:
    """The inputs of all tiles, which overlap by two cells.

    Args:
        x: (N, C, H, W).
        rows, columns: number of tiles that cover H and W.

    Returns:
        (6, 6, N, rows, columns, C), contiguous, zeros beyond the border.
    """
    n, c, h, w = x.shape
    height, width = rows * TILE + PATCH - TILE, columns * TILE + PATCH - TILE
    cells = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, width - w - 1, 1, height - h - 1))
    inside = torch.arange(PATCH, device=x.device)[:, None]
    ys = inside + TILE * torch.arange(rows, device=x.device)  # (6, rows)
    xs = inside + TILE * torch.arange(columns, device=x.device)  # (6, columns)
    images = torch.arange(n, device=x.device) * (height * width)
    # One index of a cell for each input, because exported graphs have it as one operator.
    idxs = images[:, None, None] + (ys * width)[:, None, None, :, None] + xs[:, None, None]
    cells = cells.reshape(n * height * width, c).index_select(0, idxs.flatten())
    return cells.view(PATCH, PATCH, n, rows, columns, c)


def join_tiles(tiles: Tensor, height: int, width: int) -> Tensor:
    """The map that the tiles cover.

    Args:
        tiles: (4, 4, N, rows, columns, D), contiguous.
        height, width: of the map, cells; what is beyond is cut off.

    Returns:
        (N, height, width, D).
    """
    n, rows, columns, d = tiles.shape[2:]
    ys, xs = (torch.arange(side, device=tiles.device) for side in (height, width))
    num = n * rows * columns
    ys = ys % TILE * (TILE * num) + ys // TILE * columns
    xs = xs % TILE * num + xs // TILE
    images = torch.arange(n, device=tiles.device) * (rows * columns)
    idxs = images[:, None, None] + ys[:, None] + xs
    cells = tiles.view(TILE * TILE * num, d).index_select(0, idxs.flatten())
    return cells.view(n, height, width, d)
