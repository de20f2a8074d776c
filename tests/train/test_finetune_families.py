"""Fine-tuned from folders of transformers and exported to them: the same logits."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import of, small
from tuned import lines, settings

from corpusforge import api
from corpusforge.errors import InputError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train.export.write import write
from corpusforge.train.finetune import base as bases
from corpusforge.train.restore import restore
from corpusforge.train.trainer import train

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
GPT2 = {"model__position": "learned", "model__activation": "gelu-tanh"}
LLAMA = {
    "model__norm_kind": "rmsnorm", "model__activation": "swiglu", "model__bias": False,
    "model__norm_eps": 1e-6, "model__heads": 4, "model__kv_heads": 2,
}  # fmt: skip
CHATS = [
    {"prompt": "who sees the river", "answer": "the cat"},
    {"prompt": "who likes bread", "answer": "a dog"},
]


@pytest.fixture(scope="module")
def theirs(tokens, folders, tmp_path_factory):
    """Folders of transformers by family."""
    root = tmp_path_factory.mktemp("theirs")
    specs = {
        "gpt2": small(run__steps=2, data__sequence=64, **GPT2),
        "llama": small(run__steps=2, data__sequence=64, **LLAMA),
        "bert": of("masked", run__steps=2, data__sequence=64),
    }
    for name, spec in specs.items():
        train([folders["masked"] if name == "bert" else tokens], str(root / f"{name}-run"), spec)
        write(str(root / f"{name}-run"), str(root / name))
    return {name: str(root / name) for name in specs}


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_merged_adapters_give_transformers_the_same_logits(theirs, tmp_path, family):
    """Adapters that changed the model, merged, exported, loaded by AutoModelForCausalLM."""
    data, out, exported = lines(tmp_path / "d.jsonl", CHATS), tmp_path / "out", tmp_path / "hf"
    spec = settings(
        "instruction", data__heldout=0.0, adapter__rank=4, run__epochs=20, run__batch=2,
        adapter__targets=["query", "value", "up"], optim__learning_rate=1e-2,
    )  # fmt: skip
    api.finetune(theirs[family], data, str(out), spec)
    api.export(str(out), to=("hf", str(exported)))
    adapters = load_file(out / "adapter.safetensors")
    assert all(tensor.abs().max() > 1e-3 for tensor in adapters.values())
    read = torch.arange(40, 72)[None]
    model, _, _ = restore(out)
    with torch.no_grad():
        mine = model.logits(model(read, causal=True))
        base = restore(Path(f"{theirs[family]}-run"))[0]
        assert (mine - base.logits(base(read, causal=True))).abs().max() > 0.1
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(exported).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(read).logits, mine, rtol=1e-4, atol=1e-4)
    template = transformers.AutoTokenizer.from_pretrained(exported).chat_template
    assert template == json.loads((exported / "tokenizer_config.json").read_text())["chat_template"]


def test_an_adapter_alone_is_the_difference(theirs, tmp_path):
    """Base weight + alpha / rank * up @ down = the merged weight, tensor by tensor."""
    data, out = lines(tmp_path / "d.jsonl", CHATS), tmp_path / "out"
    spec = settings("instruction", data__heldout=0.0, adapter__rank=2, adapter__alpha=6.0)
    api.finetune(theirs["gpt2"], data, str(out), spec)
    adapters = load_file(out / "adapter.safetensors")
    base, merged = (restore(Path(p))[0].state_dict() for p in (f"{theirs['gpt2']}-run", out))
    for name, tensor in merged.items():
        layer = name.removesuffix(".weight")
        want = base[name]
        if f"{layer}.up" in adapters:
            want = want + 3 * adapters[f"{layer}.up"] @ adapters[f"{layer}.down"]
        torch.testing.assert_close(tensor, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_their_folders_learn_classes(theirs, tmp_path, family):
    """And the exported backbone is of the same class again."""
    rows = [{"text": t, "label": t.split()[0]} for t in ("a dog sees", "the cat sees")] * 4
    data, out = lines(tmp_path / "d.jsonl", rows), str(tmp_path / "out")
    spec = settings("sequence-classification", data__heldout=0.0, run__epochs=15)
    done = api.finetune(theirs[family], data, out, spec)
    assert api.predict(out, data, str(tmp_path / "p.jsonl"))["accuracy"] == 1.0
    assert done.parent["path"] == str(Path(theirs[family]).resolve())
    api.export(out, to=("hf", str(tmp_path / "hf")))
    kinds = [json.loads(Path(folder, "config.json").read_text())["architectures"]
             for folder in (theirs[family], tmp_path / "hf")]  # fmt: skip
    assert kinds[0] == kinds[1]
    assert Tokenizer.load(str(tmp_path / "hf")).vocab_size == 320


@pytest.mark.parametrize("architecture", ["BertModel", "BertForMaskedLM"])
def test_an_encoder_without_all_heads(theirs, tmp_path, architecture):
    """Folders of BERT that lack heads: the same states, the heads as of a new model."""
    folder = tmp_path / "bare"
    shutil.copytree(theirs["bert"], folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    tensors = load_file(folder / "model.safetensors")
    lacks = ("bert.pooler", "cls.seq") if architecture == "BertForMaskedLM" else ("cls.",)
    kept = {name: t for name, t in tensors.items() if not name.startswith(lacks)}
    if architecture == "BertModel":
        kept = {name.removeprefix("bert."): tensor for name, tensor in kept.items()}
    save_file(kept, folder / "model.safetensors")
    whole, bare = (bases.load(str(path)).model for path in (theirs["bert"], folder))
    read, types = torch.arange(40, 72)[None], torch.zeros(1, 32, dtype=torch.long)
    with torch.no_grad():
        states = [model(read, types, read > 0) for model in (whole, bare)]
    assert torch.equal(*states)
    assert whole.order.weight.shape == bare.order.weight.shape
    save_file({k: v for k, v in kept.items() if "layer.1." not in k}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"tensor bert\.encoder\.layer\.1\..* is missing"):
        bases.load(str(folder))
