"""Doctor says what is here, and how to get what is not."""

from corpusforge import doctor, manifest


def test_memory_and_missing_parts_are_told():
    """Each extra that is not installed comes with its one line; what is there is said so."""
    found = {
        "versions": manifest.versions(),
        "seconds": 1.0,
        "cores": 2,
        "memory_free": doctor.memory_free(),
        "disk_free": 3_000_000_000,
        "extras": {"report": True, "spacy": False},
        "engines": {"direct": True, "DaskRunner": False},
    }
    told = doctor.describe(found).splitlines()
    assert "extra report: installed" in told and "disk free 3.0 GB" in told
    assert "extra spacy: not installed; pip install 'corpusforge[spacy]'" in told
    assert "runners direct" in told
    assert found["memory_free"] > 1 << 20
    assert "memory free: not known" in doctor.describe({**found, "memory_free": None})


def test_what_is_installed():
    """A module whose parent package is missing is not there, and no error."""
    assert doctor._installed("pyarrow.parquet")
    assert not doctor._installed("no_such_package.at.all")
