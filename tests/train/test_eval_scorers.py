"""Likelihoods equal what a loop over single tokens gives, whatever the windows and batches."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import of, texts

from corpusforge.errors import ForgeError
from corpusforge.spec.eval import EvalRunSpec
from corpusforge.train.eval import load
from corpusforge.train.eval.windows import windows
from corpusforge.train.export.write import write
from corpusforge.train.trainer import train

RUN = EvalRunSpec(batch=3, device="cpu")
TEXTS = [texts(1, seed)[0] for seed in range(4)] + ["a", "", " ".join(texts(3, 9))]


@given(st.integers(0, 60), st.integers(2, 20), st.data())
def test_windows_score_each_token_once(length, width, data):
    """After enough of its past, in rows that fit."""
    stride = data.draw(st.integers(1, width - 1))
    scored = []
    for one in windows(length, width, stride):
        assert one.begin < one.first < one.end <= one.begin + width
        for token in range(one.first, one.end):
            assert token - one.begin >= min(token, width - stride)
        scored += range(one.first, one.end)
    assert scored == list(range(1, length))


@pytest.fixture(scope="module")
def models(bases, tokens, tmp_path_factory):
    """A scorer of each objective."""
    path = str(tmp_path_factory.mktemp("eval") / "permutation")
    train([tokens], path, of("permutation", run__steps=2, data__sequence=64))
    folders = {**bases, "permutation": path}
    found = {name: load(folder, RUN) for name, folder in folders.items()}
    torch.manual_seed(0)
    for one in found.values():  # far from uniform, so that a wrong place shows
        with torch.no_grad():
            for parameter in one.model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.15)
    return found


def log_p(scores, token):
    return float(torch.log_softmax(scores.double(), 0)[token])


def causal(scorer, ids, place):
    """Of token ``place`` after all before it."""
    hidden = scorer.model(torch.tensor([ids[:place]]), causal=True)
    return log_p(scorer.model.logits(hidden[0, -1]), ids[place])


def left_to_right(scorer, ids, place):
    """The same of a model of two streams: one query, at the place, that sees what is before it."""
    read = torch.tensor([ids[: place + 1]])
    every = torch.arange(place + 1)
    unseen = (every[None, :] >= every[:, None])[None]
    found = scorer.model(read, read * 0, unseen, torch.tensor([[place]]))[0, 0]
    scores = found @ scorer.model.unembedding.T + scorer.model.vocabulary_bias
    return log_p(scores, ids[place])


def masked(scorer, ids, place):
    """Of token ``place`` among all others."""
    first, last = scorer.goal.around
    read = torch.tensor([[first, *ids, last]])
    read[0, place + 1] = scorer.goal.mask
    hidden = scorer.model(read, read * 0, torch.ones_like(read, dtype=torch.bool))[0, place + 1]
    scores = scorer.model.transformed(hidden) @ scorer.model.unembedding.T
    return log_p(scores + scorer.model.vocabulary_bias, ids[place])


LOOPS = {"causal": causal, "permutation": left_to_right}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("stride", [0, 7, 63])
@torch.inference_mode()
def test_texts_equal_a_loop(models, name, stride):
    """Every token but the first, in the windows that the documentation describes."""
    scorer = models[name]
    ids = scorer.encode(TEXTS)
    assert max(map(len, ids)) > 2 * scorer.sequence
    step = stride or scorer.sequence // 2
    for one, (nats, count) in zip(ids, scorer.texts(ids, stride), strict=True):
        assert count == max(len(one) - 1, 0)
        wanted = 0.0
        begin, end = 0, min(scorer.sequence, len(one))
        for token in range(1, len(one)):
            if token == end:
                begin, end = begin + step, min(begin + step + scorer.sequence, len(one))
            wanted -= LOOPS[name](scorer, one[begin:end].tolist(), token - begin)
        assert nats == pytest.approx(wanted, rel=1e-5)


@torch.inference_mode()
def test_masked_texts_equal_a_loop(models):
    """Every token, alone masked in windows that do not overlap."""
    scorer = models["masked"]
    ids = scorer.encode(TEXTS)
    size = scorer.sequence - 2
    for one, (nats, count) in zip(ids, scorer.texts(ids, 0), strict=True):
        parts = [one[low : low + size].tolist() for low in range(0, len(one), size)]
        wanted = -sum(masked(scorer, part, at) for part in parts for at in range(len(part)))
        assert count == len(one)
        assert nats == pytest.approx(wanted, rel=1e-5, abs=1e-9)


PAIRS = [
    ("the cat sees", " the river."),
    ("the cat sees ", "the river."),  # the space is the continuation's
    ("the cat sees", " a red house. no one likes the river."),
    (TEXTS[-1], " nothing at all."),  # the context does not fit
    ("", "the river."),
]


@pytest.mark.parametrize("name", LOOPS)
@torch.inference_mode()
def test_continuations_are_what_their_tokens_add(models, name):
    """The likelihood of both less that of the context; too long a context loses its beginning."""
    scorer = models[name]
    found = scorer.continuations(PAIRS)
    for (context, choice), (value, count) in zip(PAIRS, found, strict=True):
        head = scorer.encode([context.rstrip()])[0]
        whole = scorer.encode([context + choice])[0]
        if not len(head):
            whole, head = np.append(scorer.tokenizer.eot, whole), [0]
        assert count == len(whole) - len(head)
        excess = max(len(whole) - scorer.sequence, 0)
        tokens = whole[excess:].tolist()
        wanted = sum(
            LOOPS[name](scorer, tokens, at) for at in range(len(head) - excess, len(tokens))
        )
        assert value == pytest.approx(wanted, rel=1e-5)
    assert found[0] == pytest.approx(found[1])


@torch.inference_mode()
def test_masked_continuations(models):
    """The sum over its own tokens, each seen with all others."""
    scorer = models["masked"]
    (value, count), *_ = scorer.continuations(PAIRS[:1])
    ids = scorer.encode(["the cat sees the river."])[0].tolist()
    first = len(scorer.encode(["the cat sees"])[0])
    wanted = sum(masked(scorer, ids, at) for at in range(first, len(ids)))
    assert (count, value) == (len(ids) - first, pytest.approx(wanted, rel=1e-5))


@torch.inference_mode()
def test_an_encoder_decoder_reads_one_text_and_writes_the_other(models):
    """Its end too; answers are the likeliest tokens, the same alone and in a batch."""
    scorer = models["spans"]
    found = scorer.continuations(PAIRS[:3])
    for (context, choice), (value, count) in zip(PAIRS, found, strict=False):
        read = [*scorer.encode([context])[0].tolist(), scorer.end]
        write = [*scorer.encode([choice])[0].tolist(), scorer.end]
        tokens = torch.tensor([read])
        given = torch.tensor([[scorer.pad, *write[:-1]]])
        hidden = scorer.model(tokens, torch.ones_like(tokens, dtype=torch.bool), given)[0]
        wanted = sum(log_p(scorer.model.logits(h), t) for h, t in zip(hidden, write, strict=True))
        assert (count, value) == (len(write), pytest.approx(wanted, rel=1e-5))
    prompts = [context for context, _ in PAIRS[:3]]
    assert scorer.answers(prompts, 6) == [scorer.answers([one], 6)[0] for one in prompts]
    with pytest.raises(ForgeError, match="expected choices or prompts"):
        scorer.check("texts", 0)


@torch.inference_mode()
def test_answers_are_the_likeliest_tokens(models):
    """Token by token up to the end; an encoder writes none."""
    scorer = models["causal"]
    ids = scorer.encode(["the cat"])[0].tolist()
    begin = len(ids)
    for _ in range(8):
        hidden = scorer.model(torch.tensor([ids]), causal=True)
        token = int(scorer.model.logits(hidden[0, -1]).argmax())
        if token == scorer.tokenizer.eot:
            break
        ids.append(token)
    assert scorer.answers(["the cat"], 8) == [scorer.tokenizer.decode(ids[begin:])]
    with pytest.raises(ForgeError, match="expected texts or choices"):
        models["masked"].check("prompts", 0)


def test_a_stride_beyond_the_window_is_refused(models):
    """Else tokens would be left out."""
    with pytest.raises(ForgeError, match="expected less than 64"):
        models["causal"].check("texts", 64)


def test_transformers_recipe(models, bases, tmp_path):
    """Perplexity as transformers' documentation computes it on the exported folder."""
    library = pytest.importorskip("transformers")
    folder = str(tmp_path / "hf")
    write(bases["causal"], folder)
    model = library.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    scorer = load(folder, RUN)
    text = " ".join(texts(12, 3))
    ids = tokenizer(text, return_tensors="pt").input_ids
    length, stride, before, total, count = ids.shape[1], 20, 0, 0.0, 0
    for begin in range(0, length, stride):
        end = min(begin + 64, length)
        targets = ids[:, begin:end].clone()
        targets[:, : -(end - before)] = -100
        with torch.no_grad():
            loss = model(ids[:, begin:end], labels=targets).loss
        scored = int((targets[:, 1:] != -100).sum())
        total, count, before = total + float(loss) * scored, count + scored, end
        if end == length:
            break
    ((nats, tokens),) = scorer.texts(scorer.encode([text]), stride)
    assert (tokens, count) == (length - 1, length - 1)
    assert math.exp(nats / tokens) == pytest.approx(math.exp(total / count), rel=1e-5)


def test_an_exported_model_says_what_ours_says(bases, tmp_path):
    """Before a text stands what the tokenizer's file puts there: nothing in ours."""
    folder = str(tmp_path / "hf")
    write(bases["causal"], folder)
    ours, theirs = load(bases["causal"], RUN), load(folder, RUN)
    assert ours.start is None and theirs.start is None
    for one, other in zip(
        ours.texts(ours.encode(TEXTS), 0), theirs.texts(theirs.encode(TEXTS), 0), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-5)


@torch.inference_mode()
def test_a_token_before_each_text_is_asked_for_the_first(bases, tmp_path):
    """Where the tokenizer's own file puts one there, as Llama's does."""
    folder = tmp_path / "hf"
    write(bases["causal"], str(folder))
    document = json.loads((folder / "tokenizer.json").read_text())
    name = "<|endoftext|>"
    document["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": name, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {name: {"id": name, "ids": [0], "tokens": [name]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document))
    scorer = load(str(folder), RUN)
    ids = scorer.encode(["the cat"])
    assert scorer.start == scorer.tokenizer.eot
    ((nats, count),) = scorer.texts(ids, 0)
    whole = [scorer.start, *ids[0].tolist()]
    wanted = -sum(causal(scorer, whole, at) for at in range(1, len(whole)))
    assert (count, nats) == (len(ids[0]), pytest.approx(wanted, rel=1e-5))
    ((value, count),) = scorer.continuations([("the cat", " sees")])
    whole = [scorer.start, *scorer.encode(["the cat sees"])[0].tolist()]
    wanted = sum(causal(scorer, whole, at) for at in range(1 + len(ids[0]), len(whole)))
    assert (count, value) == (len(whole) - 1 - len(ids[0]), pytest.approx(wanted, rel=1e-5))
