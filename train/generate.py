"""Sampling continuations: temperature, top-k, top-p, seed; keys and values are computed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from corpusforge.errors import UsageError
from corpusforge.tokenizer import Tokenizer

from .cache import KeyValueCache
from .model import Transformer
from .restore import goal, restore

BROKEN = "\ufffd"  # what a decoded text ends in where a character is not whole yet


def sample(
    model: Transformer,
    prompt: Sequence[int],
    *,
    tokens: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    cached: bool = True,
) -> Iterator[int]:
    """Yield ``tokens`` ids that go on from ``prompt`` (one id or more), one by one.

    Temperature 0 takes the likeliest. ``top_k`` keeps the k likeliest (0: all), ``top_p`` the
    fewest that hold that much probability (Holtzman et al. 2020). Past the model's longest row the
    older half of the context is forgotten. ``cached=False`` reads the context anew for each token.
    """
    generator = torch.Generator().manual_seed(seed)
    where = model.tokens.weight.device
    context = list(prompt)[-model.sequence :]
    cache = KeyValueCache(model) if cached else None
    fresh = context  # what the model has not read yet
    for _ in range(tokens):
        if len(context) > model.sequence:
            context = fresh = context[-(model.sequence // 2 + 1) :]
            cache = KeyValueCache(model) if cached else None
        with torch.inference_mode():
            read = torch.tensor([fresh if cached else context], device=where)
            hidden = model(read, causal=True, cache=cache)
            scores = model.logits(hidden[0, -1]).cpu()  # where the generator is
        token = choose(scores, temperature, top_k, top_p, generator)
        yield token
        context = [*context, token]
        fresh = [token]


def choose(
    scores: Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator
) -> int:
    """Draw one id from logits [V]."""
    if temperature == 0:
        return int(scores.argmax())
    ranked, ids = torch.sort(scores / temperature, descending=True, stable=True)
    if top_k:
        ranked, ids = ranked[:top_k], ids[:top_k]
    chances = torch.softmax(ranked, dim=0)
    if top_p < 1:
        before = chances.cumsum(0) - chances  # mass of the likelier ones; 0 for the likeliest
        chances = chances.where(before < top_p, torch.zeros(()))
    return int(ids[torch.multinomial(chances, 1, generator=generator)])


def stream(
    model_folder: str,
    prompt: str,
    *,
    tokens: int = 64,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[str]:
    """Yield what a trained model puts after ``prompt``, piece by piece, up to the end of the text.

    A character is given once all its bytes are there. Raises UsageError for a prompt without tokens
    or a setting out of range.
    """
    if temperature < 0 or top_k < 0 or not 0 < top_p <= 1 or tokens < 1:
        raise UsageError(
            f"temperature {temperature}, top_k {top_k}, top_p {top_p}, tokens {tokens}",
            expected="temperature >= 0, top_k >= 0, 0 < top_p <= 1, tokens >= 1",
        )
    model, spec, _ = restore(Path(model_folder))
    if not goal(Path(model_folder), spec).generates:
        raise UsageError(
            f"this model was trained with objective = '{spec.objective}'",
            file=model_folder,
            expected="one that goes on from a prompt, as 'causal' does",
        )
    tokenizer = Tokenizer.load(str(Path(model_folder, "tokenizer")))
    ids = tokenizer.encode_batch(pa.array([prompt])).values.to_pylist()
    if not ids:
        raise UsageError("the prompt is empty", remedy='e.g. --prompt "The"')
    drawn = sample(
        model,
        ids,
        tokens=tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
    )
    taken, given = list[int](), ""
    for token in takewhile(lambda number: number != tokenizer.eot, drawn):
        taken.append(token)
        text = tokenizer.decode(taken)
        if not text.endswith(BROKEN):
            yield text[len(given) :]
            given = text
    yield tokenizer.decode(taken)[len(given) :]


def generate(model_folder: str, prompt: str, **settings: Any) -> str:
    """Return what ``stream`` yields, as one text."""
    return "".join(stream(model_folder, prompt, **settings))


@torch.inference_mode()
def written(
    model: Any, tokens: Tensor, mask: Tensor, *, start: int, end: int, limit: int
) -> list[list[int]]:
    """The likeliest ids, token by token, that an encoder-decoder writes for each row it reads.

    ``tokens`` and ``mask`` (which of them are there) [B, S]; at most ``limit`` ids, those before
    ``end``. ``start`` is what the decoder begins with.
    """
    given = torch.full((len(tokens), 1), start, device=tokens.device)
    over = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    memory = model.encode(tokens, mask)
    for _ in range(limit):
        token = model.logits(model.decode(given, memory, mask)[:, -1]).argmax(1)
        over |= token == end
        given = torch.cat([given, token[:, None]], 1)
        if bool(over.all()):
            break
    return [until(end, ids) for ids in given[:, 1:].tolist()]


def until(end: int | None, ids: Iterable[int]) -> list[int]:
    """Collect ``ids`` before the first ``end``."""
    return list(takewhile(lambda number: number != end, ids))
