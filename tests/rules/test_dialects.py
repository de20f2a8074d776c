"""Dialects: the same set as several tools apply it, chosen, mixed and shown by name."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpusforge import rules
from corpusforge.cli import main
from corpusforge.errors import SpecError
from corpusforge.spec import CleanSpec, load, shipped
from corpusforge.stages.recipe import stored


def test_a_dialect_and_a_mix() -> None:
    """The spec's dialect holds for sets that do not name one."""
    chosen = rules.choose({"dialect": "datatrove", "use": ["gopher-quality", "paper/fineweb"]})
    assert [(one.dialect, one.name) for one in chosen.sets] == [
        ("datatrove", "gopher-quality"),
        ("paper", "fineweb"),
    ]
    assert chosen.rules[0].signal == "datatrove_words"
    assert chosen.rules[0].peer == "gopher_short_doc"
    changed = rules.choose({"use": ["datatrove/c4"], "c4": {"min_line_words": 5}})
    assert {rule.name: rule.threshold for rule in changed.edits}["min_line_words"] == 5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"dialect": "datatrov"}, "'rules.dialect' = 'datatrov'.*did you mean 'datatrove'"),
        ({"use": ["datatrov/c4"]}, "no dialect is called 'datatrov'; did you mean 'datatrove'"),
        (
            {"dialect": "paper", "use": ["c4-no-punct"]},
            "dialect 'paper' has no rule set 'c4-no-punct'; expected one of the dialects datatrove",
        ),
        ({"use": ["datatrove/c5"]}, "no rule set is called 'c5'.*did you mean 'c4'"),
        ({"use": ["c4", "datatrove/c4"]}, "names 'c4' twice"),
        ({"use": ["c4"], "c4": {"end_mark": 1}}, "'rules.c4.end_mark' has no threshold"),
    ],
)
def test_wrong_names(table: dict[str, object], message: str) -> None:
    """Refused with the nearest name or the dialects that have the set."""
    with pytest.raises(SpecError, match=message):
        rules.choose(table)


EDIT = '[min_line_words]\nedit = "c4"\nthreshold = 3\ncitation = "c"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EDIT.replace('"c4"', '"c5"'), "names no editor: 'c5'; did you mean 'c4'"),
        (EDIT.replace("min_line", "min_lin"), "no rule of the editor 'c4'; did you mean"),
        (EDIT.replace("threshold = 3\n", ""), "'min_line_words' needs a threshold"),
        (EDIT.replace("min_line_words", "policy"), "'policy' has no threshold"),
        (EDIT + 'keep = ">="\n', "unknown key 'min_line_words.keep'"),
        (
            '[few]\nsignal = "c4_sentences"\nkeep = ">="\nthreshold = 1\ncitation = "c"\n',
            "unknown signal 'c4_sentences'",
        ),
    ],
)
def test_wrong_edits(tmp_path: Path, text: str, message: str) -> None:
    """Also a signal of an edit in a set that does not edit."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(SpecError, match=message):
        rules.choose({"use": [str(file)]})


def test_presets_are_specs_whose_rules_load() -> None:
    """In the published order of steps."""
    orders = {}
    for name in shipped(CleanSpec):
        spec = load(CleanSpec, file=name)
        assert stored(spec).names
        orders[name] = [one.name for one in rules.choose(spec.rules).sets]
    assert orders["fineweb"] == ["gopher-repetition", "gopher-quality", "c4-no-punct", "fineweb"]
    assert orders["gopher"] == ["gopher-quality", "gopher-repetition"]
    assert orders["dclm-heuristic"] == [
        *("urls-newlines", "gopher-quality", "gopher-repetition", "refinedweb")
    ]
    fineweb = load(CleanSpec, file="fineweb")
    d = fineweb.dedup
    assert (d.near, d.bands, d.rows, d.ngram) == ("minhash", 14, 8, 5)
    assert (fineweb.pii.mask, fineweb.pii.dialect) == (["email", "ip"], "datatrove")
    assert (fineweb.language.keep, fineweb.language.min_score) == (["en"], 0.65)
    assert {"c4", "minimal"} <= set(orders)


def forge(*arguments: str) -> str:
    """Standard output of a command that must succeed."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_show_diff() -> None:
    """As text and as one line of JSON."""
    sets = json.loads(forge("rules", "list", "--json"))["sets"]
    assert sets["gopher-quality"][:3] == ["forge", "paper", "datatrove"]
    shown = forge("rules", "show", "c4", "--dialect", "datatrove")
    assert "min_line_words" in shown
    assert "c4_sentences >= 5" in shown
    assert "c4_filters.py" in shown
    differences = json.loads(forge("rules", "diff", "paper/fineweb", "datatrove/fineweb", "--json"))
    assert {row["rule"]: (row["a"], row["b"]) for row in differences["differences"]} == {
        "max_dup_chars": ("char_dup_ratio <= 0.1", "char_dup_ratio <= 0.01"),
        "not_blank": (None, "datatrove_tokens >= 1"),
        "max_newlines": (None, "datatrove_newline_ratio <= 0.3"),
    }
    assert "say the same" in forge("rules", "diff", "c4", "forge/c4")
