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


def is_channels_last(x_BCXYZ: Tensor) -> bool:
    """Whether the channels of a voxel are neighbours in memory."""
    return x_BCXYZ.is_contiguous(memory_format=torch.channels_last_3d)


class Convolution(nn.Conv3d):
    """`torch.nn.Conv3d`, but for how it is computed where a CPU is given channels-last volumes."""

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """(B, c_in, X, Y, Z) to (B, c_out, X', Y', Z')."""
        if x_BCXYZ.device.type == "cpu" and is_channels_last(x_BCXYZ):
            if self.kernel_size == (1, 1, 1):
                return F.linear(x_BCXYZ.movedim(1, -1), self.weight.flatten(1), self.bias).movedim(-1, 1)
            one_and_small = len(x_BCXYZ) == 1 and x_BCXYZ.shape[1:4].numel() <= SMALL
            if one_and_small and self.kernel_size == (3, 3, 3) and self.padding == self.stride == (1, 1, 1):
                return self._by_planes(x_BCXYZ)
        return super().forward(x_BCXYZ)

    def _by_planes(self, x_BCXYZ: Tensor) -> Tensor:
        """The same as a sum of 2D convolutions, for which the planes of the one volume are a batch."""
        n = x_BCXYZ.shape[2]
        planes = F.pad(x_BCXYZ[0].movedim(1, 0), (0, 0, 0, 0, 0, 0, 1, 1))
        below, here, above = (F.conv2d(planes[k : k + n], self.weight[:, :, k], padding=1) for k in range(3))
        total = below + here + above
        return (total if self.bias is None else total + self.bias[:, None, None]).movedim(0, 1)[None]
