"""Files of a simulated visit: BIDS names and sidecars, and the truth under `sourcedata/truth`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pds_bids import __version__
from pds_bids.bids.naming import BidsName
from pds_bids.bids.tables import table
from pds_bids.bids.writing import write_image, write_json, write_text
from pds_bids.core.modality import Modality
from pds_bids.core.volume import MODEL_SPACE

if TYPE_CHECKING:
    from pds_bids.simulation.cohort import Visit
    from pds_bids.simulation.head import Head
    from pds_bids.simulation.scanner import Pose
    from pds_bids.simulation.series import Scan
    from pds_bids.simulation.sites import Protocol

TRUTH = Path("sourcedata", "truth")
NOTICE = "Simulated by pds-model; no person was scanned"

ENTITIES: dict[Modality, dict[str, str]] = {Modality.BOLD: {"task": "rest"}, Modality.DWI: {}}
FACTS: dict[Modality, dict[str, Any]] = {
    Modality.BOLD: {
        "TaskName": "rest",
        "TaskDescription": "Rest (simulated)",
        "Instructions": "None: nobody was scanned",
        "MRAcquisitionType": "2D",
        "PulseSequenceType": "Gradient-echo EPI",
        "ScanningSequence": ["EP", "GR"],
    },
    Modality.DWI: {
        "MRAcquisitionType": "2D",
        "PulseSequenceType": "Spin-echo EPI with diffusion weighting",
        "ScanningSequence": ["EP", "SE"],
    },
}
"""What a sidecar says of a modality beyond its protocol."""

T1W_FACTS = {"MRAcquisitionType": "3D", "PulseSequenceType": "MPRAGE", "ScanningSequence": ["GR", "IR"]}


def _beside(image: Path, extension: str) -> Path:
    """The file of the same name with another extension than `.nii.gz`."""
    return image.with_name(image.name.removesuffix(".nii.gz") + extension)


def sidecar(protocol: Protocol) -> dict[str, Any]:
    """What BIDS wants to know of an acquisition, in its words and units."""
    facts: dict[str, Any] = {
        "Manufacturer": "none (simulated)",
        "SoftwareVersions": f"pds-bids {__version__}",
        "MagneticFieldStrength": 3,
        "NonlinearGradientCorrection": False,
        "RepetitionTime": protocol.tr_s,
        "EchoTime": protocol.te_s,
        "FlipAngle": protocol.flip_deg,
    }
    if protocol.ti_s:
        facts["InversionTime"] = protocol.ti_s
    if protocol.readout_s:
        steps = protocol.shape[protocol.phase_axis] - 1
        facts |= {
            "PhaseEncodingDirection": protocol.phase_direction,
            "TotalReadoutTime": protocol.readout_s,
            "EffectiveEchoSpacing": round(protocol.readout_s / steps, 9),
            "SliceTiming": protocol.slice_times_s.round(6).tolist(),
            "MultibandAccelerationFactor": protocol.multiband,
        }
    return facts


@dataclass(frozen=True)
class VisitFiles:
    """Everything one visit writes: what was acquired below `out`, the rest below `out/sourcedata/truth`."""

    out: Path
    visit: Visit

    @property
    def name(self) -> str:
        """`sub-01` or `sub-01/ses-01`."""
        return "/".join(f"{key}-{label}" for key, label in self._entities.items())

    @property
    def finished(self) -> bool:
        """Whether its last file is there."""
        return self._condition.is_file()

    @property
    def _entities(self) -> dict[str, str]:
        session = {} if self.visit.session is None else {"ses": self.visit.session}
        return {"sub": self.visit.subject, **session}

    @property
    def _condition(self) -> Path:
        return self.out / TRUTH / self.name / (self.name.replace("/", "_") + "_condition.json")

    def _image_path(self, root: Path, datatype: str, entities: dict[str, str], suffix: str) -> Path:
        name = BidsName({**self._entities, **entities}, suffix, ".nii.gz").compose()
        return root / self.name / datatype / name

    def write_series(self, modality: Modality, protocol: Protocol, scan: Scan) -> None:
        """The series of one modality with its sidecar and gradient table; as truth if it was not acquired."""
        root = self.out / TRUTH if modality is self.visit.missing else self.out
        image = self._image_path(root, modality.datatype, ENTITIES[modality], modality.value)
        self._write_image(image, scan, protocol.tr_s)
        write_json(_beside(image, ".json"), FACTS[modality] | sidecar(protocol))
        if scan.bvals is not None and scan.bvecs is not None:
            write_text(_beside(image, ".bval"), " ".join(f"{b:g}" for b in scan.bvals) + "\n")
            rows = (" ".join(f"{v:.6f}" for v in row) for row in scan.bvecs)
            write_text(_beside(image, ".bvec"), "\n".join(rows) + "\n")

    def write_t1w(self, protocol: Protocol, scan: Scan) -> None:
        """The T1w image with its sidecar."""
        image = self._image_path(self.out, "anat", {}, "T1w")
        self._write_image(image, scan)
        write_json(_beside(image, ".json"), T1W_FACTS | sidecar(protocol))

    def _write_image(self, path: Path, scan: Scan, repetition_s: float | None = None) -> None:
        units = scan.data.cpu().numpy().round().clip(0, np.iinfo(np.int16).max)
        write_image(path, units.astype(np.int16), scan.affine, description=NOTICE, repetition_s=repetition_s)

    def write_truth(self, head: Head, pose: Pose) -> None:
        """Structures and regions of the head, and last of all the state of the person."""
        from pds_bids.simulation.anatomy import FINE_GRID, Structure
        from pds_bids.simulation.disease import condition
        from pds_bids.simulation.effects import Measure
        from pds_bids.simulation.regions import Region

        for label, values, names in (
            ("structures", head.structures, Structure),
            ("regions", head.regions, Region),
        ):
            entities = {"space": MODEL_SPACE, "label": label}
            path = self._image_path(self.out / TRUTH, "anat", entities, "dseg")
            write_image(path, values.cpu().numpy(), FINE_GRID.affine, description=NOTICE)
            rows = [(str(int(member)), member.name.lower()) for member in names]
            write_text(_beside(path, ".tsv"), table(("index", "name"), rows))
        today = condition(self.visit.person, self.visit.years)
        factors = {
            measure: {region.name.lower(): value for region, value in getattr(today, measure).items()}
            for measure in Measure
        }
        person = self.visit.person
        truth = {
            "site": self.visit.site,
            "group": person.group,
            "severity": {"shared": person.shared, "private": person.private},
            "missing": self.visit.missing,
            "age": today.age,
            "factors": factors,
            "scanner_to_template_mm": pose.to_model.tolist(),
        }
        write_json(self._condition, truth)
