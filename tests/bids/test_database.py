"""`--bids-database-dir`: the same answers, an index made once, and never an old one."""

from __future__ import annotations

import json

from pds_bids.bids import layout
from pds_bids.bids.inventory import inventory
from pds_bids.bids.sources import select_series
from pds_bids.core.config import Selection
from pds_bids.core.modality import Modality

TREE = {
    "task-rest_bold.json": {"RepetitionTime": 2.0},
    "sub-01/func/sub-01_task-rest_bold.nii.gz": 4,
    "sub-01/dwi/sub-01_dwi.nii.gz": 3,
    "sub-01/dwi/sub-01_dwi.json": {"EchoTime": 0.08},
    "dwi.bval": "0 1000 1000",
    "dwi.bvec": "0 1 0\n0 0 1\n0 0 0",
}


def test_the_stored_index_answers_like_the_one_in_memory(build_tree, tmp_path, monkeypatch) -> None:
    root, database = build_tree(TREE), tmp_path / "database"
    (visit,) = inventory(root, Selection())
    expected = [select_series(root, visit, modality) for modality in Modality]

    def chosen():
        return [select_series(root, visit, modality, database_dir=database) for modality in Modality]

    assert chosen() == expected
    assert len(list(database.iterdir())) == len(Modality)
    with monkeypatch.context() as patched:
        patched.delattr(layout, "_index")  # the second time nothing is indexed
        assert chosen() == expected

    (root / "task-rest_bold.json").write_text(json.dumps({"RepetitionTime": 0.75}))
    assert chosen()[0].metadata["RepetitionTime"] == 0.75
