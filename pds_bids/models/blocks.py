"""Building blocks of the U-Nets.

Norms are taken voxel by voxel, never over space, so that a crop is normalised as the whole is. Layers that
end a residual branch or a network start at zero: an untrained block is the identity, an untrained network
says 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pds_bids.models.convolution import Convolution


def channel_norm(x_BCXYZ: Tensor) -> Tensor:
    """Root-mean-square norm over channels, voxel by voxel (independent of the field of view)."""
    size = torch.linalg.vector_norm(x_BCXYZ, dim=1, keepdim=True)
    return x_BCXYZ * (x_BCXYZ.shape[1] ** 0.5 / (size + 1e-3))


def activated(x: Tensor) -> Tensor:
    """SiLU; where no gradients are recorded, in the place of its argument."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def zeroed(layer: nn.Conv3d) -> nn.Conv3d:
    """The same layer, its weights and bias set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class TimeEmbedding(nn.Module):
    """Fourier features of the two times, through two linear layers."""

    frequencies: Tensor

    def __init__(self, width: int, n_times: int = 2, n_frequencies: int = 8) -> None:
        super().__init__()
        # Numbers of Python, for arithmetic on meta tensors (`checkpoint`) would import torch's compiler.
        octaves = [2.0**k * math.pi / 2 for k in range(n_frequencies)]
        self.register_buffer("frequencies", torch.tensor(octaves), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(2 * n_times * n_frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, u_BM: Tensor) -> Tensor:
        """(B, M) times in [0, 1] to (B, width)."""
        angle = (u_BM[..., None] * self.frequencies).flatten(1)
        return self.layers(torch.cat([angle.sin(), angle.cos()], dim=1))


class ResBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))) scaled and shifted by the times)) (FiLM, Perez 2018)."""

    def __init__(self, c_in: int, c_out: int, width: int) -> None:
        super().__init__()
        self.conv_in = Convolution(c_in, c_out, 3, padding=1)
        self.conv_out = zeroed(Convolution(c_out, c_out, 3, padding=1))
        self.skip = Convolution(c_in, c_out, 1) if c_in != c_out else nn.Identity()
        self.film = nn.Linear(width, 2 * c_out) if width else None

    def forward(self, x_BCXYZ: Tensor, times_BD: Tensor | None) -> Tensor:
        """(B, c_in, X, Y, Z) to (B, c_out, X, Y, Z)."""
        h = channel_norm(self.conv_in(activated(channel_norm(x_BCXYZ))))
        if self.film is not None and times_BD is not None:
            scale, shift = self.film(times_BD)[..., None, None, None].chunk(2, dim=1)
            h = torch.addcmul(shift, h, 1 + scale)
        return self.conv_out(activated(h)) + self.skip(x_BCXYZ)


class Level(nn.ModuleList):
    """The residual blocks of one level, one after another."""

    def forward(self, x_BCXYZ: Tensor, times_BD: Tensor | None) -> Tensor:
        """(B, c_in, X, Y, Z) to (B, c_out, X, Y, Z)."""
        for block in self:
            x_BCXYZ = block(x_BCXYZ, times_BD)
        return x_BCXYZ


class Attention(nn.Module):
    """Self-attention over all positions, for the coarsest level."""

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"attention needs a multiple of {heads} channels, there are {channels}")
        self.heads = heads
        self.qkv = Convolution(channels, 3 * channels, 1)
        self.out = zeroed(Convolution(channels, channels, 1))

    def forward(self, x_BCXYZ: Tensor) -> Tensor:
        """(B, channels, X, Y, Z) to the same shape."""
        tokens = self.qkv(channel_norm(x_BCXYZ)).flatten(2)
        # In order in memory: else torch takes a path on CPUs that needs five times as long, and more memory.
        q, k, v = tokens.unflatten(1, (3, self.heads, -1)).transpose(-1, -2).contiguous().unbind(1)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(x_BCXYZ.shape)
        return x_BCXYZ + self.out(mixed)


class UNet(nn.Module):
    """U-Net over any spatial size; `forward` returns `c_out` channels at the input's resolution.

    Parameters
    ----------
    c_in, c_out
        Channels in and out.
    channels
        Width of each level, finest first.
    blocks
        Residual blocks per level and side.
    width
        Width of the time embedding; 0 for a network without times.
    attention
        Self-attention at the coarsest level.

    Attributes
    ----------
    checkpointing
        While gradients are recorded, keep only what enters each level, and compute the rest once more for
        the backward pass: less memory, a third more time, the same gradients (Chen 2016).
    """

    checkpointing = False

    def __init__(
        self,
        c_in: int,
        c_out: int,
        channels: tuple[int, ...],
        blocks: tuple[int, ...],
        width: int,
        attention: bool,
    ) -> None:
        super().__init__()
        self.stem = Convolution(c_in, channels[0], 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        levels = list(zip(channels, blocks, strict=True))
        for level, (c, n) in enumerate(levels):
            self.encoder.append(Level(ResBlock(c, c, width) for _ in range(n)))
            if level + 1 < len(levels):
                c_next = channels[level + 1]
                self.down.append(Convolution(c, c_next, 2, stride=2))
                self.up.append(Convolution(c_next, c, 1))
                self.decoder.append(Level(ResBlock(2 * c if k == 0 else c, c, width) for k in range(n)))
        self.attention = Attention(channels[-1]) if attention else None
        self.head = zeroed(Convolution(channels[0], c_out, 3, padding=1))

    def forward(self, x_BCXYZ: Tensor, times_BD: Tensor | None = None) -> Tensor:
        """(B, c_in, X, Y, Z) and (B, width) times to (B, c_out, X, Y, Z)."""
        x = self.stem(x_BCXYZ)
        skips = []
        for blocks, down in zip(self.encoder, self.down, strict=False):
            skips.append(self._level(blocks, x, times_BD))
            x = down(_even(skips[-1]))
        x = self._level(self.encoder[-1], x, times_BD)
        if self.attention is not None:
            x = self.attention(x)
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            x = self._level(blocks, _beside(up(x), skips.pop()), times_BD)
        return self.head(activated(channel_norm(x)))

    def _level(self, blocks: nn.Module, x_BCXYZ: Tensor, times_BD: Tensor | None) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(blocks, x_BCXYZ, times_BD, use_reentrant=False)
        return blocks(x_BCXYZ, times_BD)


def _even(x_BCXYZ: Tensor) -> Tensor:
    """Repeat the last plane of every odd axis."""
    odd = [n % 2 for n in x_BCXYZ.shape[2:]]
    if not any(odd):
        return x_BCXYZ
    return F.pad(x_BCXYZ, (0, odd[2], 0, odd[1], 0, odd[0]), mode="replicate")


def _beside(coarse_BCXYZ: Tensor, skip_BCXYZ: Tensor) -> Tensor:
    """A level's input: what comes from the coarser one, twice as fine, and what it saw itself."""
    x, y, z = skip_BCXYZ.shape[2:]
    fine = F.interpolate(coarse_BCXYZ, scale_factor=2, mode="nearest")
    return torch.cat([fine[..., :x, :y, :z], skip_BCXYZ], dim=1)
