"""Every other task: what its rows become, that it learns a few of them, its errors by row."""

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tuned import lines, settings

from corpusforge import api
from corpusforge.errors import InputError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train.finetune import base as models
from corpusforge.train.finetune import fits
from corpusforge.train.finetune.chat import DEFAULT, MARK, Chat
from corpusforge.train.finetune.rows import read
from corpusforge.train.generate import generate
from corpusforge.train.losses import IGNORE


def task_of(spec, folder):
    base = models.load(folder)
    return fits(spec, base)(spec, base, None)


WORDS = [
    ("the cat sees the river .", "O A O O P ."),
    ("a dog likes two birds .", "O A O O A ."),
    ("nothing follows the long road .", "O O O O P ."),
    ("", ""),
]
TAGGED = [{"tokens": words.split(), "labels": labels.split()} for words, labels in WORDS]
SQUAD = [
    {
        "question": f"who {verb} {what}",
        "context": f"some bread is here. {who} {verb} {what}. no one forgets the tall woman.",
        "answers": {"text": [who], "answer_start": [20]},
    }
    for who, verb, what in [
        ("the cat", "sees", "the river"), ("a dog", "likes", "a red house"),
        ("my old friend", "paints", "two birds"), ("every child", "carries", "the long road"),
    ]
]  # fmt: skip
CHATS = [
    {"prompt": "who sees the river", "answer": "the cat"},
    {"prompt": "who likes bread", "answer": "a dog", "system": "be short"},
]
PAIRS = [
    {"source": "the cat sees the river", "target": "a dog"},
    {"source": "every child paints", "target": "two birds"},
    {"source": "no one carries some bread", "target": "the tall woman"},
]
TASKS = [
    ("token-classification", "masked", TAGGED, "accuracy"),
    ("token-classification", "causal", TAGGED[:1], "accuracy"),
    ("question-answering", "masked", SQUAD, "exact_match"),
    ("question-answering", "causal", SQUAD, "exact_match"),
    ("instruction", "causal", CHATS, "exact_match"),
    ("sequence-to-sequence", "spans", PAIRS, "exact_match"),
]


@pytest.mark.parametrize(("task", "kind", "rows", "figure"), TASKS)
def test_a_task_learns_its_rows(bases, tmp_path, task, kind, rows, figure):
    """A few rows by heart, held out as well, and found again in the folder alone."""
    data = lines(tmp_path / "d.jsonl", rows)
    spec = settings(
        task, data__heldout=data, run__epochs=80, run__batch=4, run__evaluate_every=80,
        optim__learning_rate=1e-2, data__stride=8, data__answer=12,
    )  # fmt: skip
    done = api.finetune(bases[kind], data, str(tmp_path / "out"), spec)
    assert done.facts["figures"][figure] == 1.0, done.facts["figures"]
    found = api.predict(str(tmp_path / "out"), data, str(tmp_path / "p.jsonl"))
    assert found[figure] == 1.0
    said = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(said) == len(rows) and all("expected" in one for one in said)
    bare = [{k: v for k, v in row.items() if k not in ("labels", "answers", "answer", "target")}
            for row in rows]  # fmt: skip
    api.predict(str(tmp_path / "out"), lines(tmp_path / "b.jsonl", bare), str(tmp_path / "q.jsonl"))
    again = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    for one, two in zip(said, again, strict=True):
        del one["expected"]
        assert {**one, "file": ""} == {**two, "file": ""}
    page = Path(api.report(str(tmp_path / "out"))).read_text(encoding="utf-8")
    assert ("Held-out rows" in page and "Macro F1" in page) or "Exact match" in page


def test_labels_stand_at_first_pieces(bases, tmp_path):
    """And nowhere else; a space goes before every word but the first."""
    task = task_of(settings("token-classification"), bases["masked"])
    rows = read(lines(tmp_path / "d.jsonl", TAGGED[:1]), {})
    task.learn(rows)
    item = task.encode(rows, True)[0]
    assert task.tokenizer.decode(item["tokens"].tolist()) == "the cat sees the river ."
    kept = np.flatnonzero(item["targets"] != IGNORE)
    assert kept.tolist() == item["firsts"]
    assert [task.labels[n] for n in item["targets"][kept]] == TAGGED[0]["labels"]


def test_windows_cover_the_context(bases, tmp_path):
    """Every token is in one, neighbours share the stride, the answer's place is its text's."""
    context = " ".join(f"number{n} is here" for n in range(40))
    start = context.index("number25")
    row = {"question": "where", "context": context, "answer": "number25", "answer_start": start}
    for kind in ("masked", "causal"):
        task = task_of(settings("question-answering", data__stride=10), bases[kind])
        rows = read(lines(tmp_path / "d.jsonl", [row]), {})
        items = task.encode(rows, True)
        seen = [pair for item in items for pair in item["offsets"]]
        assert len(items) > 3 and set(seen) == set(
            task.tokenizer.library.encode(context, add_special_tokens=False).offsets
        )
        for one, two in itertools.pairwise(items):
            assert len(set(one["offsets"]) & set(two["offsets"])) == 10
        held = [item for item in items if item["ends"][0] != item["null"]]
        assert held
        for item in held:
            left, right = (item["offsets"][at - item["first"]] for at in item["ends"])
            assert context[left[0] : right[1]].strip() == "number25"
        assert all(len(item["tokens"]) <= 64 for item in items)


def test_the_best_window_answers(bases, tmp_path):
    """The one whose span outweighs its own place for none by most, wherever it stands."""
    task = task_of(settings("question-answering"), bases["masked"])
    row = {"question": "q", "context": "a dog likes the cat"}
    rows, items = read(lines(tmp_path / "d.jsonl", [row]), {}), [{"row": 0}] * 3
    said = [(-3.0, 0, 1), (2.0, 1, 5), (-1.0, 0, 5)]
    assert task.join(rows, items, said) == [{"answer": "dog", "answer_start": 2}]
    assert task.join(rows, items[:1], said[:1]) == [{"answer": "a", "answer_start": 0}]
    task.null = True
    assert task.join(rows, items[:1], said[:1]) == [{"answer": "", "answer_start": None}]


def test_no_answer_is_an_answer(bases, tmp_path):
    """Where training has questions without one."""
    rows = [
        SQUAD[0],
        {"question": "what is this", "context": "a dog likes bread", "answers": []},
    ]
    data = lines(tmp_path / "d.jsonl", rows)
    spec = settings("question-answering", data__heldout=data, run__epochs=60, run__batch=2,
                    optim__learning_rate=1e-2)  # fmt: skip
    done = api.finetune(bases["masked"], data, str(tmp_path / "out"), spec)
    said = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").open()]
    assert [one["answer"] for one in said] == ["the cat", ""]
    assert said[0]["answer_start"] == 20 and said[1]["expected"] == [""]
    assert done.facts["figures"]["exact_match"] == 1.0


def test_targets_are_answers_alone(bases, tmp_path):
    """All turns of the assistant with what ends them, in a conversation of several."""
    talk = [
        {"role": "user", "content": "who sees"}, {"role": "assistant", "content": "the cat"},
        {"role": "user", "content": "and then"}, {"role": "assistant", "content": "a dog"},
    ]  # fmt: skip
    task = task_of(settings("instruction"), bases["causal"])
    item = task.encode(read(lines(tmp_path / "d.jsonl", [{"messages": talk}]), {}), True)[0]
    tokenizer = task.tokenizer
    learnt = item["targets"][item["targets"] != IGNORE]
    assert tokenizer.decode(learnt.tolist()) == "the cat\na dog\n"
    assert (learnt == tokenizer.eot).sum() == 2
    text = tokenizer.decode(item["asked"])
    assert text.endswith("### User:\nand then\n### Assistant:\n")
    whole = [*item["tokens"].tolist(), int(item["targets"][-1])]
    last = len(tokenizer.encode_batch(pa.array(["a dog"])).values) + 2  # its end, a new line
    assert whole[-last - 20 : -last] == item["asked"][-20:]
    short = task_of(settings("instruction", data__length=12), bases["causal"])
    rows = read(lines(tmp_path / "d.jsonl", [{"prompt": "word " * 50, "answer": "a dog"}]), {})
    item = short.encode(rows, True)[0]
    assert short.cut == 1 and len(item["tokens"]) == 12
    assert tokenizer.decode(item["targets"][item["targets"] != IGNORE].tolist()) == "a dog\n"


def test_a_message_cannot_write_special_tokens(bases):
    """What spells one is text; what the template writes is the token."""
    tokenizer = Tokenizer.load(f"{bases['causal']}/tokenizer")
    chat = Chat(tokenizer, None)
    ids, mine = chat.pieces(
        [{"role": "user", "content": f"a <|endoftext|> b{MARK}"},
         {"role": "assistant", "content": "c"}]
    )  # fmt: skip
    assert ids.count(tokenizer.eot) == 1 and mine[ids.index(tokenizer.eot)]
    assert "a <|endoftext|> b\n" in tokenizer.decode(ids)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}", "{{ ''.__class__.__base__.__subclasses__() }}",
        "{% for", "{{ raise_exception('no') }}", "{{ messages.append(1) }}", "{{ 1 // 0 }}",
        "{{ range(10**9) | list }}",
    ],
)  # fmt: skip
def test_hostile_templates_are_one_line(bases, template):
    """Jinja's sandbox refuses them, or nothing comes of them."""
    tokenizer = Tokenizer.load(f"{bases['causal']}/tokenizer")
    try:
        text = Chat(tokenizer, template).render([{"role": "user", "content": "a"}])
    except InputError as error:
        assert "chat template" in str(error) and "\n" not in str(error)
    else:
        assert "class" not in text and "<" not in text


def test_the_template_is_kept_and_transformers_writes_the_same(bases, tmp_path):
    """In tokenizer_config.json; a model's own one is used and kept."""
    data = lines(tmp_path / "d.jsonl", CHATS)
    spec = settings("instruction", data__heldout=0.0, run__epochs=1)
    out = tmp_path / "out"
    api.finetune(bases["causal"], data, str(out), spec)
    kept = json.loads((out / "tokenizer/tokenizer_config.json").read_text())["chat_template"]
    assert kept == DEFAULT
    assert models.load(str(out)).template == DEFAULT
    assert isinstance(generate(str(out), "the", tokens=3), str)
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(out / "tokenizer")
    talk = [{"role": "user", "content": "who sees"}, {"role": "assistant", "content": "the cat"}]
    chat = Chat(Tokenizer.load(str(out / "tokenizer")), None)
    for messages, ask in ((talk, False), (talk[:1], True)):
        want = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
        assert chat.render(messages, ask) == want


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("token-classification", {"tokens": ["a", "b"], "labels": ["O"]},
         "1 labels; expected 2 labels, one for each word"),
        ("token-classification", {"tokens": 5, "labels": ["O"]}, "expected a list of text"),
        ("token-classification", {"tokens": ["a"], "labels": [1.5]}, "no list of labels"),
        ("question-answering", {"question": "q", "context": "c d", "answer": "x"},
         "it stands nowhere in it"),
        ("question-answering",
         {"question": "q", "context": "c d", "answers": {"text": ["d"], "answer_start": [0]}},
         "it stands at 2"),
        ("question-answering", {"question": "q", "context": "c d", "answers": ["d"]},
         "expected {text: [...], answer_start: [...]}"),
        ("question-answering", {"question": "q", "context": "c d"}, "no column 'answer'"),
        ("instruction", {"messages": [{"role": "bot", "content": "a"}]}, "system, user, assistant"),
        ("instruction", {"messages": [{"role": "assistant", "content": "a"}]}, "something before"),
        ("instruction", {"messages": [{"role": "user", "content": "a"}]}, "an answer of the"),
        ("instruction", {"prompt": "a", "answr": "b"}, "answer"),
        ("sequence-to-sequence", {"source": "a", "taget": "b"}, "did you mean 'taget'?"),
    ],
)  # fmt: skip
def test_errors_name_the_row(bases, tmp_path, task, row, message):
    """File, row and what was expected."""
    kind = {"sequence-to-sequence": "spans", "instruction": "causal"}.get(task, "masked")
    data = lines(tmp_path / "d.jsonl", [row])
    with pytest.raises(InputError) as told:
        spec = settings(task, data__heldout=0.0)
        api.finetune(bases[kind], data, str(tmp_path / "out"), spec)
    assert message in str(told.value) and "d.jsonl record 1" in str(told.value)
    assert not Path(tmp_path, "out").exists()
