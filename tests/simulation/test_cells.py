from __future__ import annotations

import torch

from pds_bids.simulation.anatomy import Structure
from pds_bids.simulation.cells import cells_of
from pds_bids.simulation.physics import gre_signal, tissue_properties
from pds_bids.simulation.smoothing import block_means


def test_cells_give_the_image_of_the_voxels(phantom, generator):
    tissue = tissue_properties(generator)
    cells = cells_of(phantom, tissue.at(phantom))

    image = cells.image(gre_signal(cells.tissue, 2000, 30, 80))

    expected = block_means(gre_signal(tissue, 2000, 30, 80)[phantom.long()][None])[0]
    torch.testing.assert_close(image, expected, rtol=1e-4, atol=1e-5)


def test_fractions_are_block_means(phantom):
    cells = cells_of(phantom, tissue_properties().at(phantom))

    members = (Structure.CORTEX, Structure.SULCAL)
    expected = block_means(torch.isin(phantom, torch.tensor(members))[None].float())[0]
    torch.testing.assert_close(cells.fraction(*members), expected)
