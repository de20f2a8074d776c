"""Exported and imported models against transformers' own classes: same logits, same losses."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import of

from corpusforge import api
from corpusforge.errors import ForgeError, SpecError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train import checkpoint
from corpusforge.train.evaluate import evaluate
from corpusforge.train.export import FAMILIES
from corpusforge.train.export.read import adopt, read
from corpusforge.train.export.write import write
from corpusforge.train.objectives import objective, tensors
from corpusforge.train.restore import restore
from corpusforge.train.run_train import run_train
from corpusforge.train.trainer import train, training_rows

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
NAMES = ["masked", "permutation", "spans"]


def seal(folder):
    """Write the manifest of a checkpoint that was changed."""
    seals = {}
    for name in checkpoint.FILES:
        data = (folder / name).read_bytes()
        seals[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(seals))


@pytest.fixture(scope="module")
def models(folders, tmp_path_factory):
    """A model folder of each objective with weights far from their start, and its export."""
    root = tmp_path_factory.mktemp("families")
    made = {}
    for name in NAMES:
        spec = of(name, run__steps=2, run__batch=16, corrupt__memory=7, data__heldout=0.1)
        train([folders[name]], str(root / name), spec)
        file = next((root / name / "checkpoints").iterdir()) / "model.safetensors"
        draw = torch.Generator().manual_seed(1)
        shaken = {
            key: value + 0.2 * torch.randn(value.shape, generator=draw)
            for key, value in load_file(file).items()
        }
        save_file(shaken, file)
        seal(file.parent)
        write(str(root / name), str(root / f"{name}-hf"))
        made[name] = (folders[name], root / name, root / f"{name}-hf")
    return made


def rows_of(folder, spec):
    """The objective, and the first batch as it is trained on."""
    goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
    batch = next(training_rows([folder], spec, None, goal.around))
    return goal, tensors(goal.prepare(batch), slice(None))


def close(mine, theirs):
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)


def ours(root, folder):
    """Heads, summed losses divided by their targets, and rows of our model of a folder."""
    model, spec, _ = restore(root)
    goal, rows = rows_of(folder, spec)
    with torch.no_grad():
        heads = goal.heads(model, rows)
        scored = goal.losses(heads, rows)
    losses = {label: one.total / goal.count(rows)[label] for label, one in scored.items()}
    return {label: head.hidden @ head.weight.T for label, head in heads.items()}, losses, rows


def test_bert_for_pretraining(models):
    """Token logits, order logits and the summed loss, with padding, pairs and masks as trained."""
    transformers = pytest.importorskip("transformers")
    folder, root, exported = models["masked"]
    logits, losses, rows = ours(root, folder)
    theirs, info = transformers.BertForPreTraining.from_pretrained(
        exported, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    seen = rows["segments"] >= 0
    with torch.no_grad():
        out = theirs.eval()(
            rows["inputs"],
            attention_mask=seen.long(),
            token_type_ids=rows["types"].long(),
            labels=rows["targets"],
            next_sentence_label=rows["order"],
        )
    close(logits["targets"][seen], out.prediction_logits[seen])
    close(logits["order"], out.seq_relationship_logits)
    close(sum(losses.values()), out.loss)


def test_xlnet_lm_head_model(models):
    """Logits at the places to predict and their loss, with orders, segments and a memory."""
    transformers = pytest.importorskip("transformers")
    folder, root, exported = models["permutation"]
    logits, losses, rows = ours(root, folder)
    theirs, info = transformers.XLNetLMHeadModel.from_pretrained(exported, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    length = rows["inputs"].shape[1]
    # transformers counts the memory to segment 0, and masks none of it: so do the kept rows here
    rows = {key: value[(rows["memory_types"] == 0).all(1)] for key, value in rows.items()}
    assert len(rows["inputs"]) > 2
    mapping = torch.nn.functional.one_hot(rows["places"], length).float()
    with torch.no_grad():
        past = theirs.eval()(rows["memory"], token_type_ids=rows["memory_types"].long()).mems
        out = theirs(
            rows["inputs"],
            perm_mask=rows["unseen"][:, :, -length:].float(),
            target_mapping=mapping,
            token_type_ids=rows["types"].long(),
            labels=rows["targets"],
            mems=past,
        )
        model, spec, _ = restore(root)
        goal = objective(spec, Tokenizer.load(f"{folder}/tokenizer"))
        head = goal.heads(model, rows)["targets"]
        scored = goal.losses({"targets": head}, rows)["targets"]
    close(head.hidden @ head.weight.T, out.logits)
    close(scored.total / goal.count(rows)["targets"], out.loss)
    assert losses["targets"].isfinite() and logits["targets"].isfinite().all()


@pytest.mark.parametrize("length", [8, 9])
def test_xlnet_without_memory(models, length):
    """Odd and even lengths."""
    transformers = pytest.importorskip("transformers")
    _, root, exported = models["permutation"]
    theirs = transformers.XLNetLMHeadModel.from_pretrained(exported).eval()
    model, _, _ = restore(root)
    tokens = torch.randint(0, 300, (3, length))
    types, places = torch.randint(0, 3, (3, length)), torch.tensor([[1, 4], [7, 2], [5, 6]])
    unseen = torch.rand(3, length, length) < 0.5
    unseen[:, :, 0] = False
    unseen[torch.arange(3)[:, None], places, places] = True
    with torch.no_grad():
        out = theirs(
            tokens,
            perm_mask=unseen.float(),
            target_mapping=torch.nn.functional.one_hot(places, length).float(),
            token_type_ids=types,
        )
        mine = model(tokens, types, unseen, places) @ model.unembedding.T + model.vocabulary_bias
    close(mine, out.logits)


def test_t5_for_conditional_generation(models):
    """Teacher-forced logits and loss, and what greedy decoding writes."""
    transformers = pytest.importorskip("transformers")
    folder, root, exported = models["spans"]
    logits, losses, rows = ours(root, folder)
    theirs, info = transformers.T5ForConditionalGeneration.from_pretrained(
        exported, output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        out = theirs.eval()(
            rows["inputs"], attention_mask=rows["mask"].long(), labels=rows["targets"]
        )
        close(logits["targets"], out.logits)
        close(losses["targets"], out.loss)
        written = theirs.generate(
            rows["inputs"][:1], attention_mask=rows["mask"][:1].long(), max_new_tokens=6,
            do_sample=False,
        )  # fmt: skip
        model, _, _ = restore(root)
        given = written[:, :1]
        for _ in range(written.shape[1] - 1):
            hidden = model(rows["inputs"][:1], rows["mask"][:1], given)
            given = torch.cat([given, model.logits(hidden[:, -1]).argmax(1, keepdim=True)], 1)
    assert torch.equal(given, written)


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(models, tmp_path, name):
    """Exported and read again, the weights are those that were trained, and so is the spec."""
    _, root, exported = models[name]
    model, spec, _ = restore(root)
    again, read_spec, tokenizer = read(str(exported))
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-6, atol=1e-7)
    skipped = {"init", "rope_theta", "feed_forward"}
    assert read_spec.model.model_dump(exclude=skipped) == spec.model.model_dump(exclude=skipped)
    assert tokenizer.digest == Tokenizer.load(str(root / "tokenizer")).digest


@pytest.mark.parametrize("name", NAMES)
def test_folders_that_transformers_saved(models, tmp_path, name):
    """A folder of save_pretrained, in shards, becomes a model folder of ours that evaluates."""
    transformers = pytest.importorskip("transformers")
    _, root, exported = models[name]
    kind = getattr(transformers, next(f for f in FAMILIES if f.objective == name).architecture)
    saved = tmp_path / "saved"
    kind.from_pretrained(exported).save_pretrained(saved, max_shard_size="40KB")
    assert (saved / "model.safetensors.index.json").exists()
    for file in exported.glob("*token*"):
        (saved / file.name).write_bytes(file.read_bytes())
    adopt(str(saved), str(tmp_path / "ours"))
    model, _, _ = restore(root)
    again, _, _ = restore(tmp_path / "ours")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=1e-6, atol=1e-7)


def test_old_names_of_norms(models, tmp_path):
    """Folders made from TensorFlow call a norm's weight gamma, and hold counters."""
    exported = models["masked"][2]
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    values = load_file(tmp_path / "model.safetensors")
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value
        for key, value in values.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(32)
    save_file(old, tmp_path / "model.safetensors")
    model, _, _ = read(str(tmp_path))
    mine, _, _ = read(str(exported))
    assert all(torch.equal(v, mine.state_dict()[k]) for k, v in model.state_dict().items())


def test_more_rows_than_tokens(models, tmp_path):
    """A vocabulary that was padded for speed keeps its rows, and the tokenizer its size."""
    exported = models["spans"][2]
    for file in exported.iterdir():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / file.name).write_bytes(file.read_bytes())
    values = load_file(tmp_path / "in/model.safetensors")
    values["shared.weight"] = torch.cat([values["shared.weight"], torch.ones(8, 32)])
    save_file(values, tmp_path / "in/model.safetensors")
    change(tmp_path / "in", vocab_size=328)
    adopt(str(tmp_path / "in"), str(tmp_path / "out"))
    model, _, state = restore(tmp_path / "out")
    assert (model.vocabulary, state["tokenizer"]["vocab_size"]) == (328, 320)


def change(folder, **values):
    """Change keys of a folder's config.json; None removes one."""
    config = json.loads((folder / "config.json").read_text())
    config |= values
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json; expected a folder"),
        (lambda f: (f / "config.json").write_text("{"), "not a config.json"),
        (lambda f: (f / "config.json").write_text("[]"), "not a config.json"),
        (lambda f: change(f, model_type="gpt9"), "expected BertForPreTraining or XLNet"),
        (lambda f: change(f, type_vocab_size=3), "type_vocab_size = 3; expected 2"),
        (lambda f: change(f, hidden_act="mish"), "hidden_act = 'mish'; expected gelu"),
        (lambda f: change(f, hidden_size=None), "'hidden_size' is missing"),
        (lambda f: change(f, hidden_size="wide"), "hidden_size|width"),
        (lambda f: change(f, vocab_size=300), "320 tokens; expected at most 300"),
        (lambda f: change(f, vocab_size="x"), "not numbers"),
        (lambda f: change(f, intermediate_size=99), r"expected \[99, 32\] by its config.json"),
        (lambda f: change(f, num_hidden_layers=3), "layer.2.attention.self.query.weight is mis"),
        (lambda f: change(f, num_hidden_layers=1), "layer.1.attention.* has no place"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "never read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "not safetensors"),
        (lambda f: (f / "tokenizer.json").unlink(), "no such tokenizer"),
        (
            lambda f: (f / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "../model.safetensors"}}'
            ),
            "no ../model.safetensors",
        ),
        (lambda f: (f / "model.safetensors.index.json").write_text("[]"), "not an index"),
    ],
)
def test_damaged_folders_are_refused_in_one_line(models, tmp_path, damage, message):
    """What is missing, damaged or not ours is said, with the file."""
    for file in models["masked"][2].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damage(tmp_path)
    with pytest.raises(ForgeError, match=message) as caught:
        read(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_parts_that_a_family_has_not(folders, tmp_path):
    """A model with rotary positions is no BERT: said before anything is written."""
    spec = of("masked", run__steps=1, model__position="rope")
    train([folders["masked"]], str(tmp_path / "m"), spec)
    with pytest.raises(SpecError, match="position = 'rope' has no place in a BertForPreTraining"):
        write(str(tmp_path / "m"), str(tmp_path / "hf"))
    assert not (tmp_path / "hf").exists()


def test_commands_export_and_imported_models_evaluate(folders, tmp_path):
    """`forge export --to hf` of a finished model; read again it has the same held-out figures."""
    spec = of("masked", run__steps=3, run__batch=16)
    run_train([folders["masked"]], str(tmp_path / "m"), spec, workers=1, fresh=False, quiet=True)
    done = api.export(str(tmp_path / "m"), to=("hf", str(tmp_path / "hf")))
    assert done["rows"] == len(list((tmp_path / "hf").iterdir()))
    adopt(str(tmp_path / "hf"), str(tmp_path / "again"))
    state = next((tmp_path / "again/checkpoints").iterdir()) / "state.json"
    values, trained = json.loads(state.read_text()), restore(tmp_path / "m")[2]["tokenizer"]
    digest = Tokenizer.load(str(tmp_path / "m/tokenizer")).digest
    assert values["tokenizer"] == {**trained, "digest": digest}  # the fixture's is made up
    values["tokenizer"] = trained
    values["spec"]["data"] |= {"heldout": spec.data.heldout}
    values["spec"]["run"] |= {"batch": 16}
    state.write_text(json.dumps(values))
    seal(state.parent)
    found = [evaluate(str(tmp_path / one), [folders["masked"]]) for one in ("m", "again")]
    for figure in ("heldout_loss", "masked_accuracy", "pseudo_perplexity"):
        assert found[0][figure] == pytest.approx(found[1][figure], rel=1e-5)


def test_the_documented_example_runs(models, tmp_path):
    """The code of docs/objectives.md runs as it stands."""
    page = Path(__file__).parents[2] / "docs/objectives.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/bert-hf").symlink_to(models["masked"][2])
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True)
    model, _, _ = restore(tmp_path / "run/bert-again")
    assert model.vocabulary == 320
