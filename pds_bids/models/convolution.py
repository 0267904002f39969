"""torch's 3D convolution, without the two plain loops that it falls back to on a CPU.

oneDNN is not asked for kernels of one voxel on one thread, nor for a single volume that is small. What comes
instead takes several times as long, and leaves its result in another order in memory, which slows the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 20480
"""Channels x planes x rows up to which torch leaves one volume to its loop (`use_mkldnn` of ATen)."""

_OF_A_VOXEL = ((1, 1, 1), (1, 1, 1), (0, 0, 0))
_OF_ITS_NEIGHBOURS = ((3, 3, 3), (1, 1, 1), (1, 1, 1))


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of a voxel are neighbours in memory: of volumes, or of kernels."""
    return x.is_contiguous(memory_format=torch.channels_last_3d)


class Convolution(nn.Conv3d):
    """`torch.nn.Conv3d`, but for how it is computed by a CPU in full precision where channels come last."""

    def __init__(self, c_in: int, c_out: int, size: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__(c_in, c_out, size, stride=stride, padding=padding)
        self._way = (self.kernel_size, self.stride, self.padding)

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """(B, c_in, X, Y, Z) to (B, c_out, X', Y', Z')."""
        full_precision = x_BCXYZ.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if full_precision and x_BCXYZ.device.type == "cpu":
            if self._way == _OF_A_VOXEL and is_channels_last(x_BCXYZ):
                return F.linear(x_BCXYZ.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
            one_and_small = len(x_BCXYZ) == 1 and x_BCXYZ.shape[1:4].numel() <= SMALL
            if self._way == _OF_ITS_NEIGHBOURS and one_and_small and is_channels_last(self.weight):
                return self._by_planes(x_BCXYZ)
        return super().forward(x_BCXYZ)

    def _by_planes(self, x_BCXYZ: Tensor) -> Tensor:
        """The same as a sum of 2D convolutions, for which the planes of the one volume are a batch."""
        n = x_BCXYZ.shape[2]
        planes = F.pad(x_BCXYZ[0].movedim(1, 0), (0, 0, 0, 0, 0, 0, 1, 1))
        below, here, above = (F.conv2d(planes[k : k + n], self.weight[:, :, k], padding=1) for k in range(3))
        assert self.bias is not None  # there is no argument to go without
        return (below + here + above + self.bias[:, None, None])[None].movedim(2, 1)
