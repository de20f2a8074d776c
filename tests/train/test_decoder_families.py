"""GPT2, Llama and Starcoder2 folders against transformers: same logits, losses, greedy text."""

import json
import os

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import small, texts

from corpusforge.errors import InputError, SpecError, UsageError
from corpusforge.tokenizer import Tokenizer
from corpusforge.train import checkpoint
from corpusforge.train.export.read import adopt, read
from corpusforge.train.export.write import write
from corpusforge.train.generate import sample
from corpusforge.train.restore import restore
from corpusforge.train.trainer import train

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
GPT2 = {"position": "learned", "activation": "gelu-tanh"}
LLAMA = {"norm_kind": "rmsnorm", "activation": "swiglu", "bias": False, "norm_eps": 1e-6}
SHAPES = {
    "gpt2": ("GPT2LMHeadModel", GPT2),
    "gpt2-untied-exact": (
        "GPT2LMHeadModel", {"position": "learned", "tied": False, "feed_forward": 48}
    ),
    "llama": ("LlamaForCausalLM", {**LLAMA, "heads": 4, "kv_heads": 2, "rope_theta": 5e5}),
    "llama-untied-biases": ("LlamaForCausalLM", {**LLAMA, "tied": False, "bias": True}),
    "mini": ("Starcoder2ForCausalLM", {}),
    "mini-grouped-relu": (
        "Starcoder2ForCausalLM", {"heads": 4, "kv_heads": 1, "activation": "relu", "tied": False}
    ),
}  # fmt: skip


def shaken(model):
    """Move all weights far from where they start, so that none can stand for another."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    return model


@pytest.fixture(scope="module")
def models(tokens, tmp_path_factory):
    """By shape: a model of ours, its spec, its export, and the class that must take it."""
    made = {}
    for name, (architecture, fields) in SHAPES.items():
        root = tmp_path_factory.mktemp(name)
        spec = small(run__steps=1, **{f"model__{key}": value for key, value in fields.items()})
        train([tokens], str(root / "run"), spec)
        found = checkpoint.existing(root / "run")
        model, _, state = restore(root / "run")
        model = shaken(model)
        checkpoint.save(root / "run", 2, model.state_dict(), found.optimizer(), state, keep=1)
        done = write(str(root / "run"), str(root / "hf"))
        assert done["architecture"] == architecture
        made[name] = model, spec, root / "hf", architecture
    return made


@pytest.fixture(params=SHAPES)
def exported(request, models):
    """Each of the models."""
    return models[request.param]


def batch(rows=3, length=20):
    return torch.randint(0, 320, (rows, length), generator=torch.Generator().manual_seed(2))


def theirs_of(folder, **settings):
    """Their model, which must have found every weight and left none."""
    transformers = pytest.importorskip("transformers")
    kind = transformers.AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, output_loading_info=True, **settings)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return model.eval()


def test_equal_logits_and_loss(exported):
    """Within 1e-4 in fp32, by the class that the folder names."""
    model, _, folder, architecture = exported
    theirs, tokens = theirs_of(folder), batch()
    assert type(theirs).__name__ == architecture
    with torch.no_grad():
        logits, out = model.logits(model(tokens, causal=True)), theirs(tokens, labels=tokens)
    assert logits.std() > 1
    torch.testing.assert_close(logits, out.logits, rtol=0, atol=1e-4)
    mine = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    torch.testing.assert_close(mine, out.loss, rtol=0, atol=1e-4)


def test_equal_greedy_text(exported):
    """The likeliest continuation is theirs, token by token."""
    model, _, folder, _ = exported
    prompt = batch(1, 5)
    written = theirs_of(folder).generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False,
        eos_token_id=-1, pad_token_id=0,
    )  # fmt: skip
    mine = list(sample(model, prompt[0].tolist(), tokens=20, temperature=0))
    assert written[0, 5:].tolist() == mine


def test_the_tokenizer_is_ours(exported):
    """AutoTokenizer of the folder gives our ids, and knows the end of a text."""
    transformers = pytest.importorskip("transformers")
    folder = exported[2]
    theirs, mine = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.load(str(folder))
    found = mine.encode_batch(pa.array(texts(5))).to_pylist()
    assert theirs(texts(5), add_special_tokens=False)["input_ids"] == found
    assert [theirs.decode(ids) for ids in found] == texts(5)
    config = json.loads((folder / "config.json").read_text())
    assert config["eos_token_id"] == mine.eot


def test_there_and_back(exported, tmp_path):
    """Read again, weights and shape are the same; so they are from what transformers saves."""
    model, spec, folder, _ = exported
    again, found, _ = read(str(folder))
    skipped = {"init", "feed_forward", "kv_heads", "rope_theta"}
    assert found.model.model_dump(exclude=skipped) == spec.model.model_dump(exclude=skipped)
    assert found.model.inner == spec.model.inner
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    theirs_of(folder).save_pretrained(tmp_path / "saved", max_shard_size="40KB")
    for file in folder.glob("*token*"):
        (tmp_path / "saved" / file.name).write_bytes(file.read_bytes())
    adopt(str(tmp_path / "saved"), str(tmp_path / "ours"))
    back, _, _ = restore(tmp_path / "ours")
    with torch.no_grad():
        torch.testing.assert_close(back(batch(), causal=True), model(batch(), causal=True))


def copied(folder, to):
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())


@pytest.mark.parametrize(("kind", "base"), [("gpt2", "transformer."), ("llama", "model.")])
def test_the_old_folder_of_the_bare_stack(models, tmp_path, kind, base):
    """GPT-2's first folders leave the stack's name out and hold the causal masks."""
    model, _, folder, _ = models[kind]
    copied(folder, tmp_path)
    values = {n.removeprefix(base): v for n, v in load_file(folder / "model.safetensors").items()}
    values["h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
    save_file(values, tmp_path / "model.safetensors")
    again, _, _ = read(str(tmp_path))
    assert all(torch.equal(again.state_dict()[n], v) for n, v in model.state_dict().items())


def test_a_tensor_that_cannot_be_turned(models, tmp_path):
    """A tensor of too few dimensions is refused, not a crash."""
    copied(models["gpt2"][2], tmp_path)
    values = load_file(tmp_path / "model.safetensors")
    values["transformer.h.0.attn.c_attn.bias"] = torch.tensor(1.0)
    save_file(values, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"c_attn.bias is \[\]"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ("gpt2", {"activation_function": "mish"}, "activation_function = 'mish'"),
        ("llama", {"rope_parameters": {"rope_type": "llama3"}}, "rope_type = 'llama3'; expected"),
        ("llama", {"rope_parameters": None, "rope_scaling": {"type": "linear"}}, "'linear'"),
        ("llama", {"head_dim": 99}, "head_dim = 99; expected 8"),
        ("llama", {"mlp_bias": True}, "mlp_bias is not attention_bias"),
        ("mini", {"sliding_window": 8}, "sliding_window = 8"),
    ],
)  # fmt: skip
def test_parts_that_we_have_not(models, tmp_path, kind, values, message):
    """A config.json that asks for more is refused with its key."""
    folder = models[kind][2]
    copied(folder, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **values}))
    with pytest.raises(InputError, match=message):
        read(str(tmp_path))


def test_a_model_that_no_class_takes(tokens, tmp_path):
    """Each class is named with the part that it has no place for; nothing is written."""
    train([tokens], str(tmp_path / "run"), small(run__steps=1, model__norm="post"))
    with pytest.raises(SpecError, match=r"GPT2LMHeadModel.*; or .*LlamaForCausalLM") as caught:
        write(str(tmp_path / "run"), str(tmp_path / "hf"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hf").exists()


def test_a_folder_that_is_not_empty(tokens, tmp_path):
    """Neither a file nor a folder with files is written over."""
    train([tokens], str(tmp_path / "run"), small(run__steps=1))
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="is not empty"):
            write(str(tmp_path / "run"), str(taken))
    assert (tmp_path / "file").read_text() == "mine"
