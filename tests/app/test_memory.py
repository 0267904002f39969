import gc
import sys
from collections.abc import Iterator

import pytest

from pds_bids.app.memory import import_for_good


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Of other tests nothing is spared."""
    yield
    gc.enable()
    gc.unfreeze()


def test_what_is_imported_for_good_is_spared_the_collector(tmp_path, monkeypatch):
    (tmp_path / "with_objects.py").write_text(
        "import gc\ncollected = gc.isenabled()\nobjects = [[i] for i in range(10_000)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()

    import_for_good("with_objects")

    found = sys.modules["with_objects"]
    assert not found.collected
    assert gc.isenabled()
    assert gc.get_freeze_count() - before > 10_000
    assert not any(one is found.objects for one in gc.get_objects())


def test_a_collector_that_was_off_stays_off(tmp_path, monkeypatch):
    (tmp_path / "with_nothing.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    gc.disable()
    import_for_good("with_nothing")
    assert not gc.isenabled()


def test_the_collector_works_on_after_an_import_that_fails():
    with pytest.raises(ModuleNotFoundError):
        import_for_good("no_such_library")
    assert gc.isenabled()
