"""Rows for trying out fine-tuning are what they say of themselves."""

from corpusforge.sample_data import tasks

TEXTS = [
    {
        "id": bytes([number]), "language": language, "title": " A title ",
        "parts": ["In August 1995 Hartmut began. The port was slow.", f"Second of {number}, here."],
    }
    for number, language in enumerate(["en", "de", "xx"])
]  # fmt: skip


def test_rows_of_each_task():
    """Labels by rule, answers at their place."""
    assert [row["label"] for row in tasks.language(TEXTS)] == ["en", "en", "de", "de", "xx", "xx"]
    pairs = list(tasks.pairs(TEXTS))
    assert [row["label"] for row in pairs] == ["follows", "another"] * 3
    assert all(row["first"] != row["second"] or row["label"] == "another" for row in pairs)
    first = next(tasks.words(TEXTS))
    assert dict(zip(first["tokens"], first["labels"], strict=True)) == {
        "In": "name", "August": "name", "1995": "number", "Hartmut": "name", "began": "word",
        ".": "mark", "The": "name", "port": "word", "was": "word", "slow": "word",
    }  # fmt: skip
    for row in tasks.questions(TEXTS):
        text, start = row["answers"]["text"][0], row["answers"]["answer_start"][0]
        assert row["context"][start:].startswith(text) and "___" in row["question"]
        assert text not in row["question"]
    assert [row["answer"] for row in tasks.chats(TEXTS)] == ["English.", "German."]
    assert {row["target"] for row in tasks.titles(TEXTS)} == {"A title"}
