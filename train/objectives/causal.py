"""The next token from those before it: GPT."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from corpusforge.loader import Batch
from corpusforge.spec import TrainSpec

from ..model import Transformer
from .objective import Head, Objective, Rows

PROMPT_TOKENS = 16
CONTINUATION_TOKENS = 48


class Causal(Objective):
    """Left to right; with ``data.document_mask`` from the token's own document alone."""

    packings = ("bestfit", "chop")
    document_mask = True
    whole = True
    generates = True

    @staticmethod
    def build(spec: TrainSpec, vocabulary: int) -> Transformer:
        """Return a decoder."""
        return Transformer(spec.model, vocabulary, spec.data.sequence, spec.run.seed)

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        """The loader's own arrays."""
        names = ("inputs", "targets", "positions", "segments")
        return {name: getattr(batch, name) for name in names}

    def heads(self, model: Transformer, rows: Rows) -> dict[str, Head]:
        """The next token at every position."""
        if self.spec.data.document_mask:
            mask = within_documents(rows["segments"])
            hidden = model(rows["inputs"], rows["positions"], mask=mask)
        else:
            hidden = model(rows["inputs"], causal=True)
        return {"targets": Head(hidden, model.unembedding)}

    def example(self, model: Transformer, batch: Batch, seed: int) -> str:
        """Continue the beginning of the row: ``[beginning] sampled``."""
        from ..generate import sample, until  # which restores models, and so knows objectives

        prompt = batch.inputs[0][batch.segments[0] == 0][:PROMPT_TOKENS].tolist()
        settings = {"temperature": 0.8, "top_p": 0.95, "seed": seed}
        drawn = sample(model, prompt, tokens=CONTINUATION_TOKENS, **settings)
        ids = until(self.tokenizer.eot, drawn)
        return f"[{self.tokenizer.decode(prompt)}] {self.tokenizer.decode(ids)}"


def within_documents(segments: Tensor) -> Tensor:
    """Segments [B, S] -> mask [B, 1, S, S]: a position sees its document up to itself."""
    same = segments[:, None, :, None] == segments[:, None, None, :]
    return same.tril_()
