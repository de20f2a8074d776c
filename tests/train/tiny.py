"""A small token folder of real words, and the smallest spec that trains on it."""

import hashlib

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from corpusforge import spec as specs
from corpusforge.manifest import Manifest
from corpusforge.schema import tokens_schema
from corpusforge.shard import ShardWriter

END = "<|endoftext|>"
SUBJECTS = ["the cat", "a dog", "my old friend", "the tall woman", "every child", "no one"]
VERBS = ["sees", "likes", "follows", "forgets", "paints", "carries"]
OBJECTS = ["the river", "a red house", "two birds", "the long road", "some bread", "nothing at all"]


def texts(count, seed=0):
    """Documents of one to twelve sentences."""
    draw = np.random.default_rng(seed)
    return [
        " ".join(
            f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)}."
            for _ in range(draw.integers(1, 13))
        )
        for _ in range(count)
    ]


BERT = ("[PAD]", "[UNK]", "[CLS]", "[MASK]", "[SEP]")
T5 = ("<pad>", "<unk>", *(f"<extra_id_{number}>" for number in range(9)), "</s>")


def write_tokens(root, documents, content="c", digest="t", special=(END,)):
    """Write a finished tokenize run with a byte-level BPE of 320 ids, trained by Hugging Face.

    The last of the ``special`` tokens ends a document.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=list(special),
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    (root / "tokenizer").mkdir(parents=True)
    tokenizer.save(str(root / "tokenizer" / "tokenizer.json"))
    end = tokenizer.token_to_id(special[-1])
    ids = [[*encoding.ids, end] for encoding in tokenizer.encode_batch(documents)]
    names = [str(number) for number in range(len(documents))]
    schema = tokens_schema(16)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(ids, schema.field("ids").type),
            pa.array([hashlib.md5(name.encode()).digest() for name in names], pa.binary(16)),
            pa.array(["sample"] * len(names)).dictionary_encode(),
            pa.array(["en"] * len(names)).dictionary_encode(),
            pa.array([len(text.encode()) for text in documents], pa.int32()),
            pa.array(names),
            pa.array([f"https://example.org/{name}" for name in names]),
        ],
        schema=schema,
    )
    writer = ShardWriter(str(root), "tokens/part-00000.arrow", schema, compress=False)
    writer.write(batch)
    facts = {"vocab_size": tokenizer.get_vocab_size(), "eot": end, "digest": digest}
    Manifest(
        kind="tokenize",
        content=hashlib.sha256(content.encode()).hexdigest(),
        counts={"in": len(names)},
        spec={},
        spec_digest="",
        shards=(writer.close(),),
        facts={"tokenizer": facts},
    ).write(str(root))
    return str(root)


SMALL = {
    "model": {"layers": 2, "width": 32, "heads": 2},
    "data": {"sequence": 32, "heldout": 0.1},
    "optim": {"learning_rate": 3e-3},
    "run": {
        "steps": 12,
        "threads": 1,
        "batch": 8,
        "checkpoint_every": 5,
        "evaluate_every": 6,
        "evaluate_rows": 16,
    },
}


def small(**changes):
    """SMALL with changed fields, named ``table__field``."""
    values = {table: dict(fields) for table, fields in SMALL.items()}
    for name, value in changes.items():
        table, _, field = name.partition("__")
        values.setdefault(table, {})[field] = value
    return specs.parse(specs.TrainSpec, values)


OBJECTIVES = {
    "masked": {
        "model__norm": "post",
        "model__position": "learned",
        "data__packing": "pairs",
    },
    "permutation": {
        "model__norm": "post",
        "model__position": "relative-xl",
        "data__packing": "bestfit",
    },
    "spans": {
        "model__norm_kind": "rmsnorm",
        "model__position": "t5-bucket",
        "model__bias": False,
        "model__activation": "relu",
        "data__packing": "spans",
    },
}


def of(objective, **changes):
    """`small` for an objective."""
    spec = small(**{**OBJECTIVES[objective], **changes})
    return spec.model_copy(update={"objective": objective})
