import gc
import sys

import pytest

from pds_bids.app.memory import import_for_good


def test_what_is_imported_for_good_is_spared_the_collector(tmp_path, monkeypatch):
    (tmp_path / "with_objects.py").write_text("objects = [[i] for i in range(10_000)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()

    import_for_good("with_objects")

    assert gc.isenabled()
    assert gc.get_freeze_count() - before > 10_000
    assert not any(found is sys.modules["with_objects"].objects for found in gc.get_objects())


def test_the_collector_works_on_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError):
        import_for_good("no_such_library")
    assert gc.isenabled()
