from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import fourier_gaussian, gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import normalized_mutual_info_score

from pds_bids.evaluation.metrics import (
    DATA_RANGE,
    SHARPNESS_BAND,
    clustered_bootstrap,
    coverage,
    mae,
    mae_of_rois,
    nmi,
    psnr,
    sharpness,
    ssim,
    whole_psnr,
)

SYMMETRIC = [psnr, whole_psnr, mae, nmi, ssim]
METRICS = pytest.mark.parametrize("metric", SYMMETRIC, ids=lambda f: f.__name__)
EVERY_METRIC = pytest.mark.parametrize("metric", [*SYMMETRIC, sharpness], ids=lambda f: f.__name__)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def truth(random) -> np.ndarray:
    return random.uniform(0, 2, (20, 22, 18)).astype(np.float32)


@pytest.fixture
def estimate(truth, random) -> np.ndarray:
    return (0.9 * truth + 0.2 * random.standard_normal(truth.shape)).astype(np.float32)


@pytest.fixture
def mask() -> np.ndarray:
    """A ball that touches one side of the volume."""
    x, y, z = np.ogrid[:20, :22, :18]
    return (x - 6) ** 2 + (y - 10) ** 2 + (z - 9) ** 2 < 60


def test_psnr_agrees_with_scikit_image(truth, estimate, mask):
    expected = peak_signal_noise_ratio(
        truth[mask].astype(float), estimate[mask].astype(float), data_range=DATA_RANGE
    )

    assert psnr(estimate, truth, mask) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", [psnr, whole_psnr])
def test_ten_times_the_range_is_20_db_more(metric, truth, estimate, mask):
    assert metric(estimate, truth, mask, 20.0) == pytest.approx(metric(estimate, truth, mask) + 20)


def test_ssim_agrees_with_scikit_image(truth, estimate, mask):
    _, similarity = structural_similarity(
        np.where(mask, truth, 0).astype(float),
        np.where(mask, estimate, 0).astype(float),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=DATA_RANGE,
        full=True,
    )

    assert ssim(estimate, truth, mask) == pytest.approx(similarity[mask].mean(), rel=1e-9)


def test_mae_by_hand(mask):
    x = np.zeros(mask.shape)

    assert mae(x, np.where(mask, 0.25, 9.0), mask) == 0.25


@given(st.integers(0, 99), st.floats(0.1, 1))
def test_air_inflates_the_psnr_by_the_fraction_of_the_brain(seed, share):
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 2, (2, 6, 5, 4))
    mask = random.permutation(x.size).reshape(x.shape) < share * x.size

    expected = psnr(x, y, mask) - 10 * np.log10(mask.mean())

    assert whole_psnr(x, y, mask) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n_bins", [8, 64])
def test_nmi_agrees_with_scikit_learn(truth, estimate, mask, n_bins):
    edges = np.linspace(0, DATA_RANGE, n_bins + 1)[1:-1]
    codes = [np.digitize(volume[mask].astype(float), edges) for volume in (truth, estimate)]

    expected = normalized_mutual_info_score(*codes)

    assert nmi(truth, estimate, mask, n_bins=n_bins) == pytest.approx(expected, rel=1e-9)
    assert (nmi(truth, estimate, mask) == nmi(truth, estimate, mask, n_bins=n_bins)) is (n_bins == 64)


def test_nmi_ignores_contrast(truth, mask):
    noise = np.random.default_rng(3).uniform(0, 2, truth.shape)

    assert nmi(2 - truth, truth, mask, n_bins=8) == pytest.approx(1)
    assert nmi(noise, truth, mask, n_bins=8) < 0.05
    assert nmi(0 * truth, truth, mask) == pytest.approx(0)
    assert nmi(0 * truth, 0 * truth, mask) == 1


def test_mae_of_each_roi(truth, estimate, mask):
    labels = np.where(mask, np.arange(mask.size).reshape(mask.shape) % 4, 0)
    labels[labels == 2] = 0

    first, second, third, fourth = mae_of_rois(estimate, truth, labels, n_rois=4)

    assert first == pytest.approx(mae(estimate, truth, labels == 1))
    assert third == pytest.approx(mae(estimate, truth, labels == 3))
    assert np.isnan([second, fourth]).all()


@pytest.mark.parametrize("voxels", [[], [0], [0, 5]])
def test_a_roi_has_the_mean_of_its_voxels_however_few(truth, estimate, voxels):
    labels = np.zeros(truth.shape, int)
    labels.flat[-1] = 2
    labels.flat[voxels] = 1

    with np.errstate(all="raise"):
        first, second = mae_of_rois(estimate, truth, labels, n_rois=2)

    expected = np.abs(truth - estimate).flat[voxels].mean() if voxels else np.nan
    assert first == pytest.approx(expected, nan_ok=True)
    assert second == pytest.approx(abs(truth.flat[-1] - estimate.flat[-1]))


def test_rois_of_another_shape_or_of_nothing_are_refused(truth):
    labels = np.ones(truth.shape, int)

    for x, y in ((truth[:-1], truth), (truth, truth[:-1])):
        with pytest.raises(ValueError, match=r"^shapes differ"):
            mae_of_rois(x, y, labels, 1)
    with pytest.raises(ValueError, match=r"^the mask is empty$"):
        mae_of_rois(truth, truth, 0 * labels, 1)
    assert mae_of_rois(truth, truth, labels, 1) == 0


@METRICS
def test_only_the_mask_counts(metric, truth, estimate, mask):
    elsewhere = np.where(mask, estimate, 1e6)

    assert metric(elsewhere, truth, mask) == metric(estimate, truth, mask)


@METRICS
def test_which_is_which_does_not_matter(metric, truth, estimate, mask):
    assert metric(estimate, truth, mask) == pytest.approx(metric(truth, estimate, mask))


def test_the_truth_is_perfect(truth, mask):
    assert psnr(truth, truth, mask) == float("inf")
    assert mae(truth, truth, mask) == 0
    assert ssim(truth, truth, mask) == nmi(truth, truth, mask) == pytest.approx(1)


@pytest.mark.parametrize(("metric", "better"), [(psnr, 1), (nmi, 1), (ssim, 1), (mae, -1)])
def test_more_noise_is_worse(metric, better, truth, mask, random):
    noise = random.standard_normal(truth.shape)

    scores = [better * metric(truth + sd * noise, truth, mask) for sd in (0.05, 0.2, 0.8)]

    assert scores == sorted(scores, reverse=True)


@given(st.floats(0.01, 1.5))
def test_psnr_of_an_offset(offset):
    x, mask = np.zeros((3, 3, 3)), np.ones((3, 3, 3), bool)

    assert psnr(x, x + offset, mask) == pytest.approx(20 * np.log10(2 / offset))


@EVERY_METRIC
def test_an_empty_mask_is_refused(metric, truth):
    with pytest.raises(ValueError, match=r"^the mask is empty$"):
        metric(truth, truth, np.zeros(truth.shape, bool))


@EVERY_METRIC
def test_another_shape_is_refused(metric, truth, mask):
    for x, y in ((truth[:-1], truth), (truth, truth[:-1])):
        with pytest.raises(ValueError, match=r"^shapes differ"):
            metric(x, y, mask)


def test_the_interval_follows_from_its_seed(random):
    values, cluster = random.standard_normal(30), np.arange(30) % 3

    assert clustered_bootstrap(values, cluster, 1, n=100) == clustered_bootstrap(values, cluster, 1, n=100)
    assert clustered_bootstrap(values, cluster, 1, n=100) != clustered_bootstrap(values, cluster, 2, n=100)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(random):
    """Twelve anatomies of five subjects, means that differ between anatomies: 95 % nominal."""
    cluster = np.repeat(np.arange(12), 5)
    covered = []
    for repetition in range(100):
        values = random.standard_normal(12)[cluster] + 0.3 * random.standard_normal(60)
        low, high = clustered_bootstrap(values, cluster, repetition, n=200)
        covered.append(low <= 0 <= high)

    assert 0.85 <= np.mean(covered) <= 1


def test_the_interval_is_as_wide_as_theory_says(random):
    values = random.standard_normal(36)

    low, high = clustered_bootstrap(values, np.arange(36), n=3000)

    assert (high - values.mean()) / (values.std() / 6) == pytest.approx(1.96, abs=0.07)
    assert (values.mean() - low) / (values.std() / 6) == pytest.approx(1.96, abs=0.07)


def test_by_default_the_interval_is_that_of_the_tables(random):
    values, cluster = random.standard_normal(9), np.arange(9) // 3

    assert clustered_bootstrap(values, cluster) == clustered_bootstrap(values, cluster, seed=0, n=2000)


def test_subjects_of_one_anatomy_are_not_independent(random):
    values = np.repeat(random.standard_normal(6), 50)
    as_anatomies = clustered_bootstrap(values, np.repeat(np.arange(6), 50), n=200)
    as_subjects = clustered_bootstrap(values, np.arange(300), n=200)

    assert np.ptp(as_anatomies) > 3 * np.ptp(as_subjects)


def test_equal_values_have_no_spread():
    low, high = clustered_bootstrap(np.full(6, 2.5), np.arange(6) // 2, n=50)

    assert (low, high) == (2.5, 2.5)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_the_interval_of_a_true_sd_holds_its_share(random, level):
    sd = random.uniform(0.1, 1.0, (40, 40, 40))
    error = random.normal(scale=sd)
    everywhere = np.ones(sd.shape, bool)

    assert coverage(error, sd, everywhere, level) == pytest.approx(level, abs=0.01)
    assert coverage(error, sd / 2, everywhere, level) < level - 0.1
    assert coverage(0 * error, 0 * sd, everywhere, level) == 1


@pytest.fixture
def texture() -> np.ndarray:
    """White noise on a grid of 2 mm."""
    return np.random.default_rng(1).standard_normal((64, 64, 64))


@pytest.fixture
def ball() -> np.ndarray:
    x, y, z = np.ogrid[-1:1:64j, -1:1:64j, -1:1:64j]
    return x**2 + y**2 + z**2 < 0.8


def test_a_volume_is_as_sharp_as_itself(texture, ball):
    assert sharpness(texture, texture, ball) == 1
    assert sharpness(texture + 3, texture, ball) == pytest.approx(1)
    assert sharpness(2 * texture, texture, ball) == pytest.approx(4)
    assert sharpness(1e-6 * texture, 1e-6 * texture, ball) == 1


def test_sharpness_of_a_volume_with_unequal_sides(texture, ball):
    corner = np.s_[:60, 2:50, 4:]

    assert sharpness(2 * texture[corner], texture[corner], ball[corner]) == pytest.approx(4)


def test_a_flat_volume_has_no_sharpness(texture, ball):
    assert sharpness(np.full(texture.shape, 1.2), texture, ball) == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(("voxel_mm", "thin"), [(2.0, 2), (1.0, 4)])
def test_sharpness_is_unknown_where_the_mask_is_all_edge(texture, voxel_mm, thin):
    """Half of a sheet of 4 mm is within the 2 mm from either side that fade to nothing."""
    sheet = np.zeros(texture.shape, bool)
    sheet[30 : 30 + thin] = True

    assert np.isnan(sharpness(texture, texture, sheet, voxel_mm))
    sheet[30 + thin] = True
    assert sharpness(texture, texture, sheet, voxel_mm) == 1


@pytest.mark.parametrize("sigma_mm", [0.5, 1.0, 2.0])
def test_the_sharpness_of_a_gaussian_blur_is_known(texture, ball, sigma_mm):
    """A Gaussian takes exp(-(2 pi f sigma)^2) of the power at f; white noise has shells of f^2."""
    blurred = np.fft.ifftn(fourier_gaussian(np.fft.fftn(texture), sigma_mm / 2)).real
    f = np.linspace(*SHARPNESS_BAND, 200)
    left = np.exp(-((2 * np.pi * f * sigma_mm) ** 2))

    assert sharpness(blurred, texture, ball) == pytest.approx((left * f**2).sum() / (f**2).sum(), rel=0.05)


def test_sharpness_looks_at_its_band_only(ball):
    position = 2.0 * np.arange(64)[:, None, None] * np.ones((1, 64, 64))
    inside, below = (np.cos(2 * np.pi * f * position) for f in (0.15, 0.04))

    assert sharpness(inside + below, inside, ball) == pytest.approx(1, abs=0.02)


def test_sharpness_does_not_see_the_edge_of_the_mask(texture, ball):
    smooth = gaussian_filter(texture, 3, mode="wrap")

    assert sharpness(1 + smooth, texture, ball) < 1.1 * sharpness(smooth, texture, ball)
    assert sharpness(np.where(ball, smooth, 7), texture, ball) == pytest.approx(
        sharpness(smooth, texture, ball)
    )
