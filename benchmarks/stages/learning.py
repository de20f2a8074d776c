"""A byte-level BPE of 8192 tokens learnt from text, Llama 3's split; MB of text.

Both learn the same vocabulary and merges.
"""

import json

INPUT = "texts"
MEGABYTES = 4.0
CONTESTANTS = {"forge": None, "tokenizers": None}


def _texts(path):
    return [json.loads(line)["text"] for line in path.open(encoding="utf-8")]


def _done(texts):
    return {"MB": sum(len(text.encode()) for text in texts) / 1e6, "docs": len(texts)}


def forge(path):
    """Count, then learn from the counts."""
    import pyarrow as pa

    from corpusforge import spec, tokenizer

    texts = _texts(path)
    column = pa.array(texts)
    asked = spec.TokenizeSpec(vocab_size=8192)

    def work():
        tokenizer.Tokenizer.train(tokenizer.count(column, asked).table, asked)
        return _done(texts)

    return work


def tokenizers(path):
    """Hugging Face's trainer, one thread."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    from corpusforge.kernels.pretokens import PATTERNS

    texts = _texts(path)
    split = pre_tokenizers.Split(Regex(PATTERNS["llama3"]), "isolated")
    characters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

    def work():
        learnt = Tokenizer(models.BPE())
        learnt.pre_tokenizer = pre_tokenizers.Sequence([split, characters])
        trainer = trainers.BpeTrainer(
            vocab_size=8192,
            min_frequency=2,
            special_tokens=["<|endoftext|>", "<|pad|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        learnt.train_from_iterator(texts, trainer)
        return _done(texts)

    return work
