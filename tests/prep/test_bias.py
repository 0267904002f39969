import numpy as np

from pds_bids.core.config import PrepConfig
from pds_bids.prep.bias import correct_bias


def test_a_smooth_field_is_removed_and_the_level_kept(head):
    x = np.linspace(-1, 1, head.data.shape[0])[:, None, None]
    brain = head.data > 300
    shaded = head.like(head.data * np.exp(0.4 * x))
    mask = head.like(brain)
    corrected = correct_bias(shaded, mask, PrepConfig())

    def slope(volume):
        ratio = np.log(volume.data[brain] / head.data[brain])
        return abs(np.polyfit(np.broadcast_to(x, brain.shape)[brain], ratio, 1)[0])

    assert slope(corrected) < 0.3 * slope(shaded)
    assert np.median(corrected.data[brain]) == np.float32(np.median(shaded.data[brain])) or np.isclose(
        np.median(corrected.data[brain]), np.median(shaded.data[brain]), rtol=1e-4
    )
    assert corrected.data.min() >= 0
