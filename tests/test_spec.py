"""Specs: round trip, unknown keys, values that are not allowed."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge import spec as specs
from corpusforge.errors import SpecError

KINDS = [specs.CleanSpec, specs.TokenizeSpec, specs.TrainSpec]


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_survive_a_round_trip(kind):
    """load(dump(spec)) == spec."""
    spec = kind()
    assert specs.parse(kind, tomllib.loads(specs.dump(spec))) == spec


@given(
    unit=st.integers(1 << 16, 1 << 40),
    near=st.sampled_from(["minhash", "none"]),
    score=st.floats(0, 1),
    keep=st.one_of(st.just("all"), st.lists(st.text(min_size=1, max_size=8), max_size=4)),
)
def test_any_clean_spec_survives_a_round_trip(unit, near, score, keep):
    """load(dump(spec)) == spec, and equal specs have equal digests."""
    values = {
        "plan": {"unit_bytes": unit},
        "dedup": {"near": near},
        "language": {"keep": keep, "min_score": score},
    }
    spec = specs.parse(specs.CleanSpec, values)
    again = specs.parse(specs.CleanSpec, tomllib.loads(specs.dump(spec)))
    assert again == spec
    assert specs.digest(again) == specs.digest(spec)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dedup.nera=none", "unknown key 'dedup.nera'; did you mean 'near'?"),
        ("langage.keep=all", "unknown key 'langage'; did you mean 'language'?"),
        ("dedup.near=foo", "'dedup.near' = 'foo' is not allowed"),
        ("read.limits.depth=0", "'read.limits.depth' = 0 is not allowed"),
        ("dedup", "expected key=value"),
    ],
)
def test_a_wrong_override_is_one_line(override, message):
    """An unknown key names the nearest; a wrong value names key, value and rule."""
    with pytest.raises(SpecError) as caught:
        specs.load(specs.CleanSpec, overrides=[override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_links_need_markdown():
    """Plain text cannot hold links: the error says what to set."""
    with pytest.raises(SpecError, match="plain text has no links") as caught:
        specs.load(specs.CleanSpec, overrides=["extract.links=true"])
    assert "markdown" in str(caught.value)
    specs.load(specs.CleanSpec, overrides=["extract.links=true", "extract.output=markdown"])


def test_overrides_win_over_the_file(tmp_path):
    """Defaults < file < --set."""
    path = tmp_path / "my.toml"
    path.write_text('[dedup]\nbands = 14\nrows = 8\n[language]\nkeep = ["en"]\n')
    spec = specs.load(specs.CleanSpec, file=str(path), overrides=["dedup.bands=20"])
    assert (spec.dedup.bands, spec.dedup.rows, spec.language.keep) == (20, 8, ["en"])


def test_a_folder_is_no_spec_and_a_byte_order_mark_is_no_key(tmp_path, monkeypatch):
    """A shipped name is found beside a folder of that name; a file may begin with U+FEFF."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt-mini").mkdir()
    shipped = specs.load(specs.TrainSpec, file="gpt-mini")
    (tmp_path / "mine.toml").write_text("[data]\nsequence = 96\n", encoding="utf-8-sig")
    assert specs.load(specs.TrainSpec, file="mine.toml").data.sequence == 96
    (tmp_path / "gpt-mini").rmdir()
    assert shipped == specs.load(specs.TrainSpec, file="gpt-mini")


def test_a_spec_file_that_is_missing_or_broken(tmp_path):
    """One line that names the file."""
    broken = tmp_path / "x.toml"
    broken.write_text("a = [")
    for name in (str(tmp_path / "none.toml"), str(broken)):
        with pytest.raises(SpecError, match=name):
            specs.load(specs.CleanSpec, file=name)
    with pytest.raises(SpecError, match="no spec is called 'gpt-mni'; did you mean 'gpt-mini'"):
        specs.load(specs.TrainSpec, file="gpt-mni")


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_specs_are_valid(kind):
    """Every spec in the package loads."""
    for name in specs.shipped(kind):
        specs.load(kind, file=name)


def test_differences_name_keys_and_values():
    """Dotted keys with old and new value."""
    old = specs.CleanSpec().model_dump(mode="json")
    new = specs.load(specs.CleanSpec, overrides=["dedup.bands=20"]).model_dump(mode="json")
    assert specs.differences(old, new) == ["dedup.bands (16 -> 20)"]
