"""Text to ids by a byte-level BPE of 8192 tokens, caches cold; MB of text.

Both give the same ids.
"""

import json

INPUT = "tokenizer"
MEGABYTES = 4.0
CONTESTANTS = {"forge": None, "tokenizers": None}


def _texts(path):
    lines = (path / "texts.jsonl").open(encoding="utf-8")
    return [json.loads(line)["text"] for line in lines]


def _done(texts, tokens):
    size = sum(len(text.encode()) for text in texts) / 1e6
    return {"MB": size, "tokens": tokens, "docs": len(texts)}


def forge(path):
    """``encode_batch`` from an Arrow column to an Arrow column."""
    import pyarrow as pa

    from corpusforge.tokenizer import Tokenizer

    texts = _texts(path)
    column = pa.array(texts)
    tokenizer = Tokenizer.load(str(path))

    def work():
        return _done(texts, len(tokenizer.encode_batch(column).values))

    return work


def tokenizers(path):
    """Hugging Face's ``encode_batch_fast``, one thread, to lists of ids."""
    from tokenizers import Tokenizer

    texts = _texts(path)
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.encode_special_tokens = True

    def work():
        rows = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return _done(texts, sum(len(row.ids) for row in rows))

    return work
