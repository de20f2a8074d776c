"""Rule sets: the shipped thresholds are the papers', and a wrong rule is refused with a remedy."""

from pathlib import Path

import pytest

from corpusforge.errors import SpecError
from corpusforge.kernels.edits import EDITORS
from corpusforge.kernels.families import SIGNALS
from corpusforge.rules import DEFAULT, Rule, find, load, rule_sets


def thresholds(rule_set: str) -> dict[str, float]:
    """Thresholds of a shipped set, in its order."""
    return {rule.name: rule.threshold for rule in find(rule_set).rules}


def test_shipped_thresholds() -> None:
    """Gopher A1.1 and Table A1, FineWeb as released."""
    assert thresholds("gopher-quality") == {
        "min_words": 50,
        "max_words": 100_000,
        "min_mean_word_length": 3,
        "max_mean_word_length": 10,
        "max_hash_ratio": 0.1,
        "max_ellipsis_ratio": 0.1,
        "max_bullet_lines": 0.9,
        "max_ellipsis_lines": 0.3,
        "min_alpha_words": 0.8,
        "min_stop_words": 2,
    }
    assert list(thresholds("gopher-repetition").values()) == [
        *(0.3, 0.2, 0.3, 0.2),
        *(0.20, 0.18, 0.16),
        *(0.15, 0.14, 0.13, 0.12, 0.11, 0.10),
    ]
    assert list(thresholds("fineweb").values()) == [0.12, 0.67, 0.01, 0.3]


def test_every_shipped_rule_cites_its_source_and_reads_a_signal() -> None:
    """And says min_ where it wants much, max_ where it wants little."""
    for one in rule_sets().values():
        own = {signal.name for rule in one.edits for signal in EDITORS[rule.editor].signals}
        for rule in (*one.edits, *one.rules):
            assert rule.citation
        for rule in one.rules:
            assert rule.signal in {*SIGNALS, *own}
            assert rule.comparison == {"min": ">=", "max": "<=", "not": ">="}[rule.name[:3]]


def test_language_dependent_rules() -> None:
    """English stop words judge English only; word length leaves out scripts without spaces."""
    rules = {rule.name: rule for rule in find("gopher-quality").rules}
    assert rules["min_stop_words"].languages == ("en",)
    assert {"zh", "ja", "th", "lo", "km", "my"} <= {*rules["min_mean_word_length"].except_languages}


def test_load_merges_thresholds() -> None:
    """Order of use, then of the file; without use, the default sets."""
    rules = load({"gopher-quality": {"min_words": 30}})
    assert tuple(dict.fromkeys(rule.rule_set for rule in rules)) == DEFAULT
    assert rules[0] == Rule(
        rule_set="gopher-quality",
        name="min_words",
        signal="words",
        comparison=">=",
        threshold=30.0,
        citation=rules[0].citation,
    )
    assert rules[0].id == "gopher-quality.min_words"
    assert rules[1:] == load({"use": list(DEFAULT)})[1:]
    assert load({"use": []}) == ()


def test_a_file_of_the_user(tmp_path: Path) -> None:
    """Same format; the set is called by the file's stem and its thresholds can be overridden."""
    file = tmp_path / "mine.toml"
    file.write_text(
        '[few_digits]\nsignal = "digit_ratio"\nkeep = "<"\nthreshold = 0.2\n'
        'languages = ["en", "de"]\ncitation = "own"\n'
    )
    (rule,) = load({"use": [str(file)], "mine": {"few_digits": 0.5}})
    assert (rule.id, rule.comparison, rule.threshold) == ("mine.few_digits", "<", 0.5)
    assert rule.languages == ("en", "de")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"use": ["gopher-qualty"]},
            "no rule set is called 'gopher-qualty'.*did you mean 'gopher-quality'",
        ),
        ({"use": "fineweb"}, "'rules.use' = 'fineweb' is not allowed; expected a list of names"),
        ({"use": ["nowhere/mine.toml"]}, "nowhere/mine.toml: no such rule file"),
        ({"use": ["fineweb", "fineweb"]}, "names 'fineweb' twice"),
        (
            {"gopher-quality": {"min_word": 3}},
            "rules.gopher-quality.min_word'.*did you mean 'min_words'",
        ),
        (
            {"gopher-quality": {"min_words": "3"}},
            "min_words' = '3' is not allowed; expected a number",
        ),
        ({"gopher-quality": {"min_words": True}}, "expected a number"),
        ({"gopher-quality": {"min_words": float("nan")}}, "expected a number"),
        ({"gopher-quality": 3}, "expected a table.*--set rules.gopher-quality.min_words=50"),
        (
            {"goper-quality": {}},
            "unknown rule set 'rules.goper-quality'; did you mean 'gopher-quality'",
        ),
        (
            {"use": ["gopher-quality"], "fineweb": {"max_newlines": 1}},
            r"is not in use; add it: --set 'rules.use=\[\"gopher-quality\", \"fineweb\"\]'",
        ),
    ],
)
def test_wrong_specs(rules: dict[str, object], message: str) -> None:
    """One line: what, and the nearest name or the remedy."""
    with pytest.raises(SpecError, match=message):
        load(rules)


RULE = '[r]\nsignal = "words"\nkeep = ">="\nthreshold = 1\ncitation = "c"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RULE.replace("words", "word"), "unknown signal 'word'; did you mean 'words'"),
        (RULE.replace(">=", "=="), "expected one of >=, >, <=, <"),
        (RULE.replace("= 1", '= "1"'), "'r.threshold' = '1' is not allowed; expected a number"),
        (RULE.replace('citation = "c"\n', ""), "'r.citation' is missing"),
        (RULE + "language = ['en']\n", "unknown key 'r.language'; did you mean 'languages'"),
        (RULE + "languages = 'en'\n", "'r.languages' = 'en' is not allowed; expected a list"),
        ("r = 3\n", "'r' is no rule"),
        ("[r\n", "not a TOML file"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    """The file is named, and what is wrong in it."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(SpecError, match=f"mine.toml: .*{message}"):
        load({"use": [str(file)]})
