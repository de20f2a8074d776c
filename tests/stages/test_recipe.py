"""What a clean run is made of, and what it depends on."""

from importlib.util import find_spec

import pytest

from corpusforge import spec as specs
from corpusforge.errors import ExtraMissing
from corpusforge.plan import Unit
from corpusforge.stages import recipe


def test_the_version_of_the_chosen_extractor_counts() -> None:
    """Texts of trafilatura are made anew by another version of it, texts of ours are not."""
    unit = Unit("part-00000", (), "fingerprint")

    def keys(method: str) -> set[str]:
        spec = specs.load(specs.CleanSpec, overrides=[f"extract.method={method}"])
        made = [{"selectolax": "1", "trafilatura": version} for version in ("2.0", "2.1")]
        return {recipe.documents_key(spec, unit, versions) for versions in made}

    assert len(keys("trafilatura")) == 2
    assert len(keys("forge")) == 1


@pytest.mark.skipif(find_spec("trafilatura") is not None, reason="trafilatura is installed")
def test_a_missing_extractor_is_told_before_anything_is_read() -> None:
    """The message names what to install."""
    spec = specs.load(specs.CleanSpec, overrides=["extract.method=trafilatura"])
    with pytest.raises(ExtraMissing, match="extractors"):
        recipe.check_spec(spec)
