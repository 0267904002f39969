import tempfile

import pytest

from pds_bids.core.errors import CannotWriteError
from pds_bids.prep.scratch import SAFE, linked, scratch_folder


def test_an_unsafe_temporary_folder_is_passed_by(tmp_path, monkeypatch):
    odd = tmp_path / "t,[1] mp"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with scratch_folder() as folder:
        assert SAFE.fullmatch(str(folder))
        assert folder.is_dir()
    assert not folder.exists()
    monkeypatch.setattr("pds_bids.prep.scratch.FALLBACKS", ())
    with pytest.raises(CannotWriteError, match="set TMPDIR"), scratch_folder():
        pass


def test_links_keep_the_order_and_the_content(tmp_path):
    paths = [tmp_path / "a b" / "x.nii.gz", tmp_path / "c,d" / "x.nii.gz"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    with scratch_folder() as folder:
        links = linked(paths, folder)
        assert [link.read_text() for link in links] == ["a b", "c,d"]
        assert all(SAFE.fullmatch(str(link)) for link in links)
