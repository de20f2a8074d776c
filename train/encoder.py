"""The encoder of BERT: a stack that sees both ways, token types, and the two heads it learns by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corpusforge.spec import ModelSpec

from .init import initialize
from .model import ACTIVATIONS, Transformer, norm

TYPES = 2  # first and second span


class Encoder(Transformer):
    """Tokens and their types [B, S] -> hidden states [B, S, D] (Devlin et al. 2019).

    After the embeddings comes a norm, unless blocks begin with theirs. ``pooled`` and ``order``
    judge a whole row, ``transformed`` is what the vocabulary's product and bias turn into tokens.
    """

    def __init__(self, spec: ModelSpec, vocabulary: int, sequence: int, seed: int) -> None:
        super().__init__(spec, vocabulary, sequence, seed, both_ways=True)
        self.types = nn.Embedding(TYPES, spec.width)
        self.start_norm = norm(spec) if spec.norm == "post" else nn.Identity()
        self.transform = nn.Linear(spec.width, spec.width)
        self.transform_norm = norm(spec)
        self.activation = ACTIVATIONS[spec.activation]
        self.vocabulary_bias = nn.Parameter(torch.empty(vocabulary))
        self.pooler = nn.Linear(spec.width, spec.width)
        self.order = nn.Linear(spec.width, 2)  # the second span follows, or is another's
        initialize(self, spec, seed)

    def forward(self, tokens: Tensor, types: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Run the stack; ``mask`` bool [B, S], False where ``tokens`` are padding."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.start_norm(self.embed(tokens, positions) + self.types(types))
        return self.run(self.dropout(x), positions, mask=mask[:, None, None])

    def transformed(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] -> what the vocabulary is compared with [..., D]."""
        out: Tensor = self.transform_norm(self.activation(self.transform(hidden)))
        return out

    def pooled(self, hidden: Tensor) -> Tensor:
        """Hidden states [B, S, D] -> one vector a row [B, D], from its first token."""
        return torch.tanh(self.pooler(hidden[:, 0]))
