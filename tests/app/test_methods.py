"""What each method of `pds-model evaluate` makes of a subject."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from pds_bids.app.baselines import fitted_baselines, unfitted_baselines
from pds_bids.app.evaluation import Plan, Rival, run
from pds_bids.app.measures import NOMINAL, curves, measured, roi_labels
from pds_bids.app.methods import (
    KINDS,
    MAIN,
    MAIN_ROWS,
    Case,
    Contestant,
    Outputs,
    Prediction,
    Sampling,
    network,
)
from pds_bids.app.panel import Origin
from pds_bids.app.scoring import Subjects, scored
from pds_bids.app.testbed import refuse_leaks
from pds_bids.core.errors import UsageError
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_GRID
from pds_bids.evaluation.comparison import Score
from pds_bids.models.checkpoint import Checkpoint
from pds_bids.models.denoiser import DenoiserConfig
from pds_bids.models.pdsmodel import ModelConfig, PdsModel
from pds_bids.models.refine import RefinerConfig
from pds_bids.prep.rois import roi_atlas
from pds_bids.training.data import PairBank, Sample

pytestmark = pytest.mark.slow


def drawn_sample(seed: int) -> Sample:
    """Smooth noise in a ball of grey matter around white around fluid; the target is 2 minus the source."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in MODEL_GRID.shape], indexing="ij", sparse=True)
    radius = np.sqrt(sum(axis**2 for axis in axes))
    tissue = np.stack([(radius > 0.6) & (radius < 0.9), (radius > 0.3) & (radius <= 0.6), radius <= 0.3])
    fractions = np.concatenate([tissue, ~tissue.any(0, keepdims=True)])[:, ::2, ::2, ::2]
    source = (1 + 0.2 * random.standard_normal(radius.shape)).clip(0.2, 1.8)
    images = np.stack([np.stack([source, source]), np.stack([2 - source, 2 - source])])
    mask = radius < 0.85
    t1w = (source * random.uniform(0.9, 1.1, radius.shape)).astype(np.float16)
    return Sample(images.astype(np.float16), np.stack([mask, mask]), (255 * fractions).astype(np.uint8), t1w)


FEW = Sampling(draws=2, steps=2)
"""Take a second."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PairBank:
    made = PairBank.create(tmp_path_factory.mktemp("bank"), 2)
    for row in range(2):
        made.put(row, drawn_sample(row), anatomy=row)
    return made


@pytest.fixture(scope="module")
def model() -> PdsModel:
    """As small as can be, its weights random to the last layer; its templates are 0.9."""
    torch.manual_seed(0)
    denoiser = DenoiserConfig(channels=(4, 4), blocks=(1, 1), width=8, attention=False)
    made = PdsModel(ModelConfig(denoiser, RefinerConfig(channels=(4, 4), blocks=(1, 1), projector=4)))
    for weights in made.parameters():
        weights.data += 0.05 * torch.randn_like(weights)  # or the last ones are zero, and so is every output
    made.templates.fill_(0.9)
    return made.eval()


@pytest.fixture(scope="module")
def outputs(model: PdsModel, bank: PairBank) -> Outputs:
    return Outputs(model, Case.of(bank, 0, 1, seed=5), FEW)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_relative_units_on_the_model_grid(outputs: Outputs, kind: str) -> None:
    volume, sd, samples = KINDS[kind](outputs)
    assert (samples is None) == (kind != "draws")
    assert volume.shape == MODEL_GRID.shape
    assert volume.min() >= 0
    assert volume.max() <= 2
    assert (sd is None) == (kind in ("estimate", "draw"))
    assert sd is None or (sd > 0).mean() > 0.9


def test_one_draw_is_the_first_of_several(outputs: Outputs) -> None:
    assert len(outputs.samples) == 2
    np.testing.assert_array_equal(KINDS["draw"](outputs).volume, outputs.samples[0])
    np.testing.assert_allclose(KINDS["draws"](outputs).volume, outputs.samples.mean(0))
    assert not np.allclose(outputs.samples[0], outputs.samples[1])


def test_draws_follow_from_the_seed_and_from_nothing_of_the_target(model: PdsModel, bank: PairBank) -> None:
    case = Case.of(bank, 0, 1, seed=5)
    images = case.batch.images.clone()
    images[:, 1] = 0.3
    blind = Case(case.batch._replace(images=images), seed=5)
    first, again, other = (Outputs(model, c, FEW).samples for c in (case, blind, Case(case.batch, seed=6)))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_without_a_t1w_the_app_writes_what_is_scored(model: PdsModel, outputs: Outputs) -> None:
    """Through `Synthesiser`, which is handed the source alone: no T1w."""
    from pds_bids.core.config import SynthesisConfig
    from pds_bids.core.volume import MODEL_SPACE, Volume
    from pds_bids.synthesis.pipeline import Synthesiser

    case = outputs.case
    source, mask = (
        Volume(data.astype(np.float32), MODEL_GRID.affine, MODEL_SPACE)
        for data in (case.batch.images[0, 0].numpy(), case.mask)
    )
    written = Synthesiser(Checkpoint(model, {}, "", "tiny"), "cpu").synthesise(
        source, mask, Modality.DWI, SynthesisConfig(), seed=0
    )
    volume, sd, _ = KINDS["no-t1w"](outputs)
    np.testing.assert_allclose(volume * case.mask, written.volume.data, atol=1e-6)
    np.testing.assert_allclose(sd * case.mask, written.sd.data, atol=1e-6)


def test_a_t1w_is_looked_at_unless_it_is_withheld(model: PdsModel, bank: PairBank) -> None:
    case = Case.of(bank, 0, 1)
    another = Case(case.batch._replace(t1w=case.batch.t1w.flip(2)), 0)
    for kind, same in (("refined", False), ("no-t1w", True)):
        first, second = (KINDS[kind](Outputs(model, c)).volume for c in (case, another))
        assert np.array_equal(first, second) == same


def test_baselines_without_a_fit(model: PdsModel, bank: PairBank) -> None:
    rows = unfitted_baselines(model)(Case.of(bank, 0, 0))
    assert {row: np.unique(p.volume).tolist() for row, p in rows.items()} == {
        "flat brain": [1.0],
        "population template": [pytest.approx(0.9)],
    }


def test_fitted_baselines_know_what_training_pairs_show(bank: PairBank) -> None:
    """The target is an exact line of the source: only the increasing map of quantiles cannot follow."""
    case = Case.of(bank, 1, 0)
    rows = {row: measured(p, case) for row, p in fitted_baselines(lambda: bank)(case).items()}
    assert rows["voxelwise linear"]["mae"] < 0.05
    assert rows["copied source, matched"]["mae"] > 0.2
    assert rows["copied source, matched"]["sharpness"] == pytest.approx(1, abs=0.1)


def test_tissues_are_scored_apart(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    error = 0.1 * case.tissues["white"] + 0.4 * case.tissues["csf"]
    sd = np.full(error.shape, 0.1, np.float32)
    numbers = measured(Prediction(case.truth + error, sd), case)
    assert numbers["mae_grey"] == 0
    assert numbers["mae_white"] == pytest.approx(0.1)
    assert numbers["mae_csf"] == pytest.approx(0.4)
    # The 90 % interval of a normal error reaches to 1.64 sd.
    assert [numbers[f"coverage_50_{t}"] for t in ("grey", "white", "csf")] == [1, 0, 0]
    assert [numbers[f"coverage_90_{t}"] for t in ("grey", "white", "csf")] == [1, 1, 0]


def test_a_tissue_that_the_brain_lacks_has_no_number(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    tissue = case.batch.tissue.clone()
    tissue[:, 2] = 0
    without = Case(case.batch._replace(tissue=tissue), 0)
    numbers = measured(Prediction(case.truth + 0.1), without)
    assert np.isnan(numbers["mae_csf"])
    assert np.isnan([numbers[name] for name in ("coverage_90", "crps", "ause")]).all()
    assert numbers["mae"] == pytest.approx(0.1)


def test_the_whole_volume_and_the_uncertainty_are_scored_in_the_mask_of_the_source(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    sd = np.where(case.tissues["csf"], 0.4, 0.1)
    numbers = measured(Prediction(case.truth + np.where(case.mask, sd, 9.0), sd), case)
    assert numbers["brain_fraction"] == case.mask.mean()
    assert numbers["psnr_whole_db"] == pytest.approx(numbers["psnr_db"] - 10 * np.log10(case.mask.mean()))
    assert numbers["ause"] == pytest.approx(0, abs=1e-6)
    assert numbers["crps"] == pytest.approx(0.6024 * numbers["mae"], rel=1e-3)  # of an error of one sd
    assert 0 < numbers["nmi"] < 1


def test_every_method_is_scored_on_every_subject_in_both_directions(model: PdsModel, bank: PairBank) -> None:
    rivals = network(model, {"rival": "estimate", MAIN: "refined"})
    scores = list(scored(everybody(bank), {"a": unfitted_baselines(model), "b": rivals}, seed=0))
    rows = ("flat brain", "population template", "rival", MAIN)
    assert [(s.subject, s.target, s.method) for s in scores] == [
        (subject, target, method) for subject in range(2) for target in Modality for method in rows
    ]
    assert [s.anatomy for s in scores[:: len(rows)]] == [0, 0, 1, 1]


def everybody(bank: PairBank) -> Subjects:
    return Subjects(bank, range(len(bank)), bank.anatomy.tolist())


def test_what_was_scored_once_is_not_scored_again(bank: PairBank, tmp_path: Path) -> None:
    asked = []

    def counted(case: Case) -> dict[str, Prediction]:
        asked.append(case.target)
        return {"dim": Prediction(0.9 * case.truth, np.full(case.truth.shape, 0.1))}

    def score(**contestants: Contestant) -> list[Score]:
        return list(scored(everybody(bank), contestants, 0, tmp_path))

    first = score(a=counted)
    assert len(asked) == len(first) == 2 * len(Modality)
    next(tmp_path.rglob("*.json")).unlink()
    again = score(a=counted)
    assert len(asked) == 2 * len(Modality) + 1
    for one, other in zip(first, again, strict=True):
        np.testing.assert_equal(asdict(one) | {"seconds": 0}, asdict(other) | {"seconds": 0})
    score(another=counted)
    assert len(asked) == 4 * len(Modality) + 1


def test_a_curve_of_each_kind(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    sd = np.full(case.truth.shape, 0.1)
    noisy = case.truth + np.random.default_rng(0).normal(0, 0.1, sd.shape)
    shown = curves(Prediction(noisy, sd), case)
    np.testing.assert_allclose(shown["covered"], NOMINAL, atol=0.01)
    np.testing.assert_allclose(shown["by_sd"], 1)
    assert shown["by_error"][0] == pytest.approx(1)
    assert (np.diff(shown["by_error"]) < 0).all()
    truth, predicted = (np.array(shown[f"roi_{name}"]) for name in ("truth", "predicted"))
    held = np.isfinite(truth)
    assert 0 < held.sum() < len(held)  # the ball is smaller than the brain
    assert np.corrcoef(truth[held], predicted[held])[0, 1] > 0.8
    assert curves(Prediction(noisy), case).keys() == {"roi_truth", "roi_predicted"}


def test_regions_are_scored_apart(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    labels, groups = roi_labels(), np.array(["", *roi_atlas().groups])
    numbers = measured(Prediction(case.truth + 0.3 * (groups[labels] == "limbic")), case)
    assert numbers["mae_limbic"] == pytest.approx(0.3)
    assert numbers["mae_subcortical"] == 0
    assert 0 < numbers["mae_rois"] < 0.3


def test_draws_have_a_score_of_their_own(bank: PairBank) -> None:
    case = Case.of(bank, 0, 0)
    draws = case.truth + np.array([-0.2, 0.2])[:, None, None, None]
    numbers = measured(Prediction(case.truth + 0.1, samples=draws), case)
    assert numbers["crps_draws"] == pytest.approx(0.2 - 0.4 / 2)
    assert np.isnan(numbers["crps"])


def test_a_template_needs_an_age_and_a_sex(bank: PairBank) -> None:
    """The older, the brighter; whoever's age is unknown has no row."""
    ages = np.linspace(50, 90, 8)

    @dataclass
    class Ageing:
        known: bool = True

        def __len__(self) -> int:
            return len(ages)

        def get(self, rows: list[int]) -> Sample:
            sample = bank.get([0] * len(rows))
            who = np.array([[0, ages[row] if self.known else np.nan, row % 2, 0] for row in rows], np.float32)
            shade = np.where(np.arange(MODEL_GRID.shape[0]) % 2, 1.0, ages[rows, None] / 70)
            flat = np.ones_like(sample.images) * shade[:, None, None, :, None, None]
            return sample._replace(images=flat.astype(np.float16), covariates=who)

    contestant, name = fitted_baselines(Ageing), "template for age and sex"
    case = Case.of(Ageing(), 7, 0)
    old = contestant(case)[name].volume
    assert (
        np.abs(old - case.truth)[case.mask].mean()
        < 0.5 * np.abs(contestant(Case.of(Ageing(), 0, 0))[name].volume - case.truth)[case.mask].mean()
    )
    assert name not in contestant(Case.of(Ageing(known=False), 0, 0))
    assert name not in fitted_baselines(lambda: Ageing(known=False))(case)


def test_every_kind_has_a_row_of_the_main_model() -> None:
    assert tuple(MAIN_ROWS.values()) == Plan().methods == tuple(KINDS)


def test_a_rival_in_words() -> None:
    assert Rival.parse("PDM + TR=a/b:c=d.safetensors") == ("PDM + TR", "refined", "a/b:c=d.safetensors")
    assert Rival.parse("U-Net:estimate=unet") == ("U-Net", "estimate", "unet")


@pytest.mark.parametrize("text", ["unet", "=unet", "U-Net=", "U-Net:sharpest=unet"])
def test_a_rival_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError, match="estimate, draw, draws, no-t1w, refined"):
        Rival.parse(text)


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        (Plan(methods=("estimate", "sharpest")), "--methods sharpest: choose from estimate"),
        (Plan(compare=("U-Net=a", "U-Net=b")), "--compare U-Net: .* another name"),
        (Plan(compare=(f"{MAIN}=a",)), "another name"),
        (Plan(compare=("U-Net:sharpest=a",)), "ROW"),
    ],
)
def test_a_plan_that_cannot_be(plan: Plan, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        plan.check()


def test_a_table_may_not_be_called_like_the_json_beside_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"call the table \.tsv"):
        run(Plan(), Origin(tmp_path), tmp_path / "table.json", "cpu")


def test_a_model_that_has_seen_the_test_maps_is_refused(model: PdsModel) -> None:
    def trained_on(*maps: str) -> Checkpoint:
        return Checkpoint(model, {"split": {"train": list(maps)}}, "", "")

    refuse_leaks({"one": trained_on("a", "b")}, {"c"})
    with pytest.raises(UsageError, match=r"two: .*\(c\)"):
        refuse_leaks({"one": trained_on("a", "b"), "two": trained_on("b", "c")}, {"c"})
