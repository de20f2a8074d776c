"""MinHash signatures of 5-word shingles for near deduplication; MB of text.

forge, datasketch, rensa: 128 minima (forge also keys of 16 bands); datatrove as shipped: 14 x 8
of 64 bits, words by spaCy.
"""

import json
import re

INPUT = "texts"
MEGABYTES = 2.0
CONTESTANTS = {"forge": None, "datasketch": None, "rensa": "rensa", "datatrove": "datatrove"}


def _texts(path):
    return [json.loads(line)["text"] for line in path.open(encoding="utf-8")]


def _done(texts):
    return {"MB": sum(len(text.encode()) for text in texts) / 1e6, "docs": len(texts)}


def _shingles(text):
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))]


def forge(path):
    """The kernels ``sign`` and ``band_keys``."""
    import pyarrow as pa

    from corpusforge.kernels import minhash

    texts = _texts(path)
    column = pa.array(texts)
    a, b = minhash.permutations(128, 1)

    def work():
        minhash.band_keys(minhash.sign(column, a, b, 5).minima, 16, 8)
        return _done(texts)

    return work


def datasketch(path):
    """Its 32-bit scheme, whose minima forge equals, over xxh32 of the shingles."""
    import xxhash
    from datasketch import MinHash

    texts = _texts(path)

    def work():
        shingles = ([one.encode() for one in _shingles(text)] for text in texts)
        for _ in MinHash.generator(
            shingles, num_perm=128, hashfunc=xxhash.xxh32_intdigest, scheme="affine32"
        ):
            pass
        return _done(texts)

    return work


def rensa(path):
    """Its R-MinHash, in Rust."""
    from rensa import RMinHash

    texts = _texts(path)

    def work():
        for text in texts:
            signature = RMinHash(num_perm=128, seed=1)
            signature.update(_shingles(text))
            signature.digest()
        return _done(texts)

    return work


def datatrove(path):
    """The shingles and signature of its first stage, without its files."""
    import tempfile

    from datatrove.pipeline.dedup import MinhashDedupSignature

    texts = _texts(path)
    stage = MinhashDedupSignature(output_folder=tempfile.gettempdir())

    def work():
        for text in texts:
            shingles = stage.get_shingles(text)
            if shingles.size:
                stage.get_signature(shingles)
        return _done(texts)

    return work
