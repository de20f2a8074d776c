"""Cloze and order sets: what is right stands in the text, the rest does not; seeds decide."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusforge.api import make_choices
from corpusforge.errors import ForgeError
from corpusforge.eval import items
from corpusforge.eval.make import sentences
from corpusforge.spec import EvalSpec

SAMPLE = Path(__file__).parent.parent.parent / "sample_data"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def spec(**changes):
    return EvalSpec(make=changes)


@pytest.fixture(scope="module")
def texts():
    """Texts of the sample, in two languages."""
    lines = (SAMPLE / "notes.jsonl").read_bytes().splitlines()
    lines += gzip.decompress((SAMPLE / "more.jsonl.gz").read_bytes()).splitlines()
    rows = []
    for number, line in enumerate(lines):
        try:
            record = json.loads(line.decode())
            json.dumps(record, ensure_ascii=False).encode()
        except ValueError:  # the sample has broken lines on purpose
            continue
        if isinstance(record, dict) and isinstance(record.get("text"), str):
            rows.append({"text": record["text"], "language": "ab"[number % 2]})
    assert len(rows) > 40
    return rows


def made(path, kind, rows, **changes):
    file = write(path / "texts.jsonl", rows)
    output = str(path / f"{kind}.jsonl")
    facts = make_choices(kind, [file], output, spec(**changes))
    found = [json.loads(line) for line in Path(output).read_text().splitlines()]
    assert facts["items"] == len(found)
    assert items.read(output)[0] == "choices"
    return found


@pytest.mark.parametrize("kind", ["cloze", "order"])
def test_what_is_right_stands_in_the_text(texts, tmp_path, kind):
    """After its context; what is wrong does not, and differs from it in a word, or in order."""
    found = made(tmp_path, kind, texts, items=80)
    assert len(found) == 80
    for one in found:
        text = texts[int(one["document"].split()[-1]) - 1]["text"]
        right = one["choices"][one["answer"]]
        assert one["context"] + right in text
        others = [choice for at, choice in enumerate(one["choices"]) if at != one["answer"]]
        assert len({*others, right}) == len(one["choices"])
        for other in others:
            assert one["context"] + other not in text
            if kind == "order":
                assert sorted("".join(other.split())) == sorted("".join(right.split()))
            else:
                size = len(one["word"]) + 1
                assert right[1:size] == one["word"]
                assert other.endswith(right[size:])
                assert other.split(maxsplit=1)[0].istitle() == one["word"].istitle()
    answers = Counter(one["answer"] for one in found)
    size = len(found[0]["choices"])
    assert len(answers) == size
    assert max(answers.values()) < 2.5 * len(found) / size
    assert max(Counter(one["document"] for one in found).values()) <= 4


@pytest.mark.parametrize("kind", ["cloze", "order"])
def test_seeds_decide_and_order_does_not(texts, tmp_path, kind):
    """The same set whatever the order of the texts; another seed gives another."""

    def plain(rows, **changes):
        found = made(tmp_path, kind, rows, items=40, **changes)
        return sorted((one["context"], *one["choices"], str(one["answer"])) for one in found)

    first = plain(texts)
    shuffled = texts.copy()
    random.Random(1).shuffle(shuffled)
    assert plain(shuffled) == first
    assert plain(texts, seed=1) != first


def test_nothing_to_make(tmp_path):
    """Where no text has sentences; and of what is no text."""
    with pytest.raises(ForgeError, match="none of 2 documents has sentences"):
        made(tmp_path, "order", [{"text": "a"}, {"text": "b c"}])
    with pytest.raises(ForgeError, match="labels; expected texts"):
        made(tmp_path, "order", [{"label": "a", "prediction": "b"}])


def test_sentences():
    """End at a full stop before a capital, at Chinese ones, and at the line's end."""
    text = "Costs 3.5 e.g. here. Next one! “Quoted.” And\nA line\n\n東京。大阪です。 Last"
    assert [text[slice(*bound)] for bound in sentences(text)] == [
        "Costs 3.5 e.g. here.", "Next one!", "“Quoted.”", "And", "A line",
        "東京。", "大阪です。", "Last",
    ]  # fmt: skip


@given(st.text(alphabet=" .!?a A\n。»”", max_size=60))
def test_sentences_keep_all_but_white_space(text):
    """In order, none empty."""
    found = [text[slice(*bound)] for bound in sentences(text)]
    assert all(one == one.strip() and one for one in found)
    assert "".join("".join(found).split()) == "".join(text.split())
