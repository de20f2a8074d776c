"""Optimizer steps of a small GPT (4 layers, width 256, 8192 tokens), 16 x 256 tokens; tokens.

Same shape, fp32, AdamW, clipping, one thread: ours; ours with the logits whole; transformers' GPT2.
"""

INPUT = "tokens"
MEGABYTES = 1.0
CONTESTANTS = {"forge": None, "whole_logits": None, "transformers": "transformers"}
ROWS, SEQUENCE, STEPS = 16, 256, 2


def _ours(path, loss_of):
    import torch

    from corpusforge import spec as specs
    from corpusforge.loader import TokenLoader
    from corpusforge.train import optim
    from corpusforge.train.objectives import tensors
    from corpusforge.train.objectives.causal import Causal

    torch.set_num_threads(1)
    spec = specs.parse(
        specs.TrainSpec, {"model": {"position": "learned", "activation": "gelu-tanh"}}
    )
    loader = TokenLoader.open([str(path)], sequence=SEQUENCE, batch=ROWS, seed=0)
    goal = Causal(spec, None)  # only its samples need a tokenizer
    model = goal.build(spec, 8192)
    optimizer = optim.build(model, spec.optim)

    def work():
        for _ in range(STEPS):
            rows = tensors(goal.prepare(next(loader)), slice(0, ROWS))
            optimizer.zero_grad()
            (loss_of(goal, model, rows) / goal.count(rows)["targets"]).backward()
            optim.clip(model.parameters(), spec.optim.clip)
            optimizer.step()
        return {"tokens": STEPS * ROWS * SEQUENCE}

    return work


def forge(path):
    """What the trainer does in a step, its loader included."""
    return _ours(
        path,
        lambda goal, model, rows: goal.losses(goal.heads(model, rows), rows)["targets"].total,
    )


def whole_logits(path):
    """The same with torch's cross entropy over all logits at once."""
    import torch.nn.functional as F

    return _ours(
        path,
        lambda _, model, rows: F.cross_entropy(
            model.logits(model(rows["inputs"], causal=True)).flatten(0, 1),
            rows["targets"].flatten(),
            reduction="sum",
        ),
    )


def transformers(path):
    """GPT2LMHeadModel of the same shape; batches are windows of a memory map."""
    import numpy as np
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = {"vocab_size": 8192, "n_positions": SEQUENCE, "n_embd": 256, "n_layer": 4, "n_head": 4}
    model = GPT2LMHeadModel(
        GPT2Config(**shape, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    ids = np.memmap(path / "ids.bin", dtype=np.uint16, mode="r")
    draw = np.random.default_rng(0)

    def work():
        for _ in range(STEPS):
            starts = draw.integers(0, len(ids) - SEQUENCE, ROWS)
            windows = np.stack([ids[at : at + SEQUENCE] for at in starts]).astype(np.int64)
            rows = torch.from_numpy(windows)
            optimizer.zero_grad()
            model(input_ids=rows, labels=rows).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return {"tokens": STEPS * ROWS * SEQUENCE}

    return work
