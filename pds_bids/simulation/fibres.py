"""Which way white matter runs: currents between cortices, and between cortex and brainstem.

Fibres do not end within white matter nor leave it sideways, and no more does an electric current in a
conductor of its shape. Two currents are solved for: the callosal one, from the left cortex to the right,
and the projection, from the brainstem to every cortex. Association bundles (cingulum, superior and inferior
longitudinal) are arcs around the thalamus. Where bundles meet, the stronger prevails.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pds_bids.core.volume import MODEL_GRID
from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.smoothing import block_means

SINK = 0.02
"""Conductance into cortex: so low that the current spreads to the crowns of gyri before it leaves."""

CALLOSAL_CONDUCTORS = {
    Structure.CORTEX: SINK,
    Structure.WHITE: 1.0,
    Structure.LESION: 1.0,
    Structure.CALLOSUM: 2.0,
}
PROJECTION_CONDUCTORS = {
    Structure.CORTEX: SINK,
    Structure.CEREBELLUM: SINK / 10,
    Structure.WHITE: 1.0,
    Structure.LESION: 1.0,
    Structure.BRAINSTEM: 2.0,
    Structure.THALAMUS: 0.3,
}
"""Conductance of what each system runs through, relative to white matter: tuned by eye."""

CONVERGED = 1e-9
"""Share of the initial squared residual at which a potential is good: single precision goes no further."""

ARC_CENTRE_MM = (-18.0, 6.0)
"""(y, z) of the thalamus, around which association bundles bend."""

ARC_AXES = (1.6, 1.0)
"""Semi-axes of those arcs along y and z: the brain is longer than high."""

CINGULUM_X_MM, LONGITUDINAL_X_MM = 9.0, 38.0
"""How far from the midline the cingulum and the longitudinal fasciculi run, in model space [R]."""


def fibre_directions(structures: Tensor) -> Tensor:
    """Main fibre direction of every voxel of `MODEL_GRID`.

    Parameters
    ----------
    structures
        (160, 192, 176) uint8 `Structure` codes at 1 mm in model space.

    Returns
    -------
    Tensor
        (3, 80, 96, 88) float32 unit vectors in RAS+ model space; the sign has no meaning. Outside white
        matter they continue those inside.
    """
    fractions = {s: _fraction(structures, s) for s in (*PROJECTION_CONDUCTORS, Structure.CALLOSUM)}
    white = fractions[Structure.WHITE] + fractions[Structure.LESION]
    arcs = _arcs(structures.device)
    bundles = (
        _relative(_callosal_current(fractions)),
        _relative(_projection_current(fractions)),
        arcs * _association_strength(fractions[Structure.CALLOSUM]) * white,
    )
    # directions have no sign, so they are averaged as dyads
    dyads = sum(_dyad(bundle) for bundle in bundles) + 1e-6 * _dyad(arcs)
    return _main_direction(_smooth(dyads))


def _fraction(structures: Tensor, structure: Structure) -> Tensor:
    return block_means((structures == structure)[None].float())[0]


def _conductance(fractions: dict[Structure, Tensor], conductors: dict[Structure, float]) -> Tensor:
    return torch.stack([value * fractions[structure] for structure, value in conductors.items()]).sum(0)


def _position_mm(axis: int, device: torch.device) -> Tensor:
    """Coordinate of the voxels of `MODEL_GRID` along one axis, shaped to broadcast."""
    mm = 2.0 * torch.arange(MODEL_GRID.shape[axis], device=device) + float(MODEL_GRID.affine[axis, 3])
    shape = [1, 1, 1]
    shape[axis] = -1
    return mm.view(shape)


def _callosal_current(fractions: dict[Structure, Tensor]) -> Tensor:
    """(3, X, Y, Z) current from the left cortex to the right through the corpus callosum."""
    side = _position_mm(0, fractions[Structure.CORTEX].device)
    conductance = _conductance(fractions, CALLOSAL_CONDUCTORS)
    # away from the callosum nothing crosses the midline, although the hemispheres touch
    crossing = fractions[Structure.CALLOSUM] > 0.25
    conductance = torch.where((side.abs() < 4) & ~crossing, 0, conductance)
    fixed = fractions[Structure.CORTEX] > 0.5
    start = torch.where(fixed, side.sign(), (side / 40).clamp(-1, 1))
    return _current(conductance, fixed, start)


def _projection_current(fractions: dict[Structure, Tensor]) -> Tensor:
    """(3, X, Y, Z) current from the lower end of the brainstem to all cortex, the cerebellum's included."""
    height = _position_mm(2, fractions[Structure.CORTEX].device)
    brainstem = fractions[Structure.BRAINSTEM] > 0.5
    levels = brainstem.any(dim=0).any(dim=0).nonzero()
    lowest = float(height.flatten()[levels[0]]) if len(levels) else float(height.min())
    conductance = _conductance(fractions, PROJECTION_CONDUCTORS)
    cortex = (fractions[Structure.CORTEX] + fractions[Structure.CEREBELLUM]) > 0.5
    root = brainstem & (height < lowest + 6)
    start = torch.where(cortex, 1.0, ((height - lowest) / 100).clamp(0, 1).expand(cortex.shape))
    return _current(conductance, cortex | root, torch.where(root, 0.0, start))


def _current(conductance: Tensor, held: Tensor, potential: Tensor, steps: int = 120) -> Tensor:
    """Current of the potential that stays as it is where `held`: solved on a coarse grid, then on its own.

    Returns
    -------
    Tensor
        (3, X, Y, Z), the mean of the currents through a voxel's two faces along each axis.
    """

    def coarse(x: Tensor) -> Tensor:
        return F.avg_pool3d(x[None, None], 2)[0, 0]

    share = coarse(held.float())
    boundary = coarse(potential * held) / share.clamp(min=0.1)
    guess = torch.where(share > 0.5, boundary, coarse(potential))
    guess = _relax(coarse(conductance), share > 0.5, guess, steps)
    guess = F.interpolate(guess[None, None], size=held.shape, mode="trilinear")[0, 0]
    potential = _relax(conductance, held, torch.where(held, potential, guess), steps)

    current = torch.zeros((3, *held.shape), device=held.device)
    for axis, wire in enumerate(_wires(conductance, held)):
        low, high = _ends(current[axis], axis)
        through = wire * potential.diff(dim=axis)
        low += through / 2
        high += through / 2
    return current


def _ends(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Views of `x` at the lower and the upper end of every edge along `axis`."""
    n = x.shape[axis] - 1
    return x.narrow(axis, 0, n), x.narrow(axis, 1, n)


def _wires(conductance: Tensor, held: Tensor) -> list[Tensor]:
    """Conductance between neighbours along each axis; none between two that are held: no tissue's current."""
    wires = []
    for axis in range(3):
        (low, high), (low_held, high_held) = _ends(conductance, axis), _ends(held, axis)
        wires.append(torch.minimum(low, high) * ~(low_held & high_held))
    return wires


def _relax(conductance: Tensor, held: Tensor, potential: Tensor, steps: int) -> Tensor:
    """Kirchhoff's law, no current lost in a free voxel, by conjugate gradients (Jacobi preconditioner)."""
    wires = _wires(conductance, held)

    def loss(x: Tensor) -> Tensor:
        lost = torch.zeros_like(x)
        for axis, wire in enumerate(wires):
            (low, high), through = _ends(lost, axis), wire * x.diff(dim=axis)
            low -= through
            high += through
        return lost.masked_fill_(held, 0)

    total = torch.zeros_like(potential)
    for axis, wire in enumerate(wires):
        low, high = _ends(total, axis)
        low += wire
        high += wire
    precondition = 1 / total.clamp(min=1e-9)
    residual = -loss(potential)
    step = precondition * residual
    power = (residual * step).sum()
    enough = float(power) * CONVERGED
    for _ in range(steps):
        if float(power) <= enough:
            break
        change = loss(step)
        length = power / (step * change).sum()
        potential = potential + length * step
        residual = residual - length * change
        preconditioned = precondition * residual
        previous, power = power, (residual * preconditioned).sum()
        step = preconditioned + power / previous * step
    return potential


def _relative(current: Tensor) -> Tensor:
    """Square root of a current in units of its median: it falls by orders of magnitude towards the cortex."""
    strength = current.square().sum(0, keepdim=True).sqrt()
    flowing = strength > 1e-6
    typical = strength[flowing].median() if flowing.any() else strength.new_tensor(1.0)
    return current / (strength * typical).clamp(min=1e-12).sqrt()


def _arcs(device: torch.device) -> Tensor:
    """(3, X, Y, Z) unit tangents of ellipses around the thalamus in sagittal planes."""
    y = (_position_mm(1, device) - ARC_CENTRE_MM[0]) / ARC_AXES[0] ** 2
    z = (_position_mm(2, device) - ARC_CENTRE_MM[1]) / ARC_AXES[1] ** 2
    zero = torch.zeros(MODEL_GRID.shape, device=device)
    return F.normalize(torch.stack([zero, -z + zero, y + zero]), dim=0)


def _association_strength(callosum: Tensor) -> Tensor:
    """(X, Y, Z) strength of the cingulum above the callosum and of the lateral bundles, up to about 1."""
    distance = _position_mm(0, callosum.device).abs()
    near_callosum = F.max_pool3d(callosum[None, None], (1, 9, 9), stride=1, padding=(0, 4, 4))[0, 0]
    near_callosum = near_callosum.amax(dim=0, keepdim=True) * (1 - callosum)
    cingulum = torch.exp(-0.5 * ((distance - CINGULUM_X_MM) / 3) ** 2) * near_callosum
    lateral = torch.exp(-0.5 * ((distance - LONGITUDINAL_X_MM) / 5) ** 2)
    return 2.5 * cingulum + 1.2 * lateral


def _dyad(direction: Tensor) -> Tensor:
    """(9, X, Y, Z) outer product of a vector field with itself."""
    return (direction[:, None] * direction[None]).flatten(0, 1)


def _smooth(dyads: Tensor) -> Tensor:
    """Neighbours agree, and what is outside white matter follows what is inside."""
    near = dyads[None]
    for window in ((3, 1, 1), (1, 3, 1), (1, 1, 3)):
        near = F.avg_pool3d(near, window, stride=1, padding=tuple(n // 2 for n in window))
    far = F.interpolate(F.avg_pool3d(near, 4), size=near.shape[2:], mode="trilinear")
    return (near + 1e-3 * far)[0]


def _main_direction(dyads: Tensor, squarings: int = 6) -> Tensor:
    """(3, X, Y, Z) principal eigenvector of (9, X, Y, Z) symmetric matrices, by power iteration."""
    matrix = dyads.view(3, 3, -1).permute(2, 0, 1)
    for _ in range(squarings):
        matrix = matrix / matrix.diagonal(dim1=1, dim2=2).sum(1).clamp(min=1e-30)[:, None, None]
        matrix = matrix @ matrix
    column = matrix.square().sum(1).argmax(dim=1)
    direction = matrix.gather(2, column[:, None, None].expand(-1, 3, 1))[..., 0]
    return F.normalize(direction, dim=1).T.reshape(3, *dyads.shape[1:]).contiguous()
