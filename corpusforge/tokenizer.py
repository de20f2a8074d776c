"""Tokenizer: learnt from counts, kept as ``tokenizer.json``, encoding Arrow batches.

``count`` gives the counts of a batch, ``Tokenizer.train`` learns from their sum, ``encode_batch``
turns text into ids. A byte-level BPE with a split that we scan ourselves is encoded by the own
kernel, any other file by the ``tokenizers`` library; ``engine`` says which, ``why`` says why not.
Text that spells a special token is plain text to both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tokenizers

from corpusforge import tokenizer_spec
from corpusforge.engines import Engine, GigatokenEngine, LibraryEngine, OwnEngine, normalized
from corpusforge.errors import InputError, RunError, SpecError
from corpusforge.kernels.bpe import byte_characters, train_bpe, train_characters, train_wordpiece
from corpusforge.kernels.counts import Counted, count_batch
from corpusforge.kernels.pretokens import utf8, with_digits
from corpusforge.kernels.spelling import spells
from corpusforge.spec import TokenizeSpec
from corpusforge.storage import errors_of, file_system, write_bytes
from corpusforge.tokenizer_json import (
    FORMS,
    NotOursError,
    Own,
    bpe_document,
    recognize,
    unigram_document,
    wordpiece_document,
)
from corpusforge.unigram import SPACE, train_unigram

_ROLES = {
    "<|endoftext|>": "eos_token",
    "</s>": "eos_token",
    "<s>": "bos_token",
    "<unk>": "unk_token",
    "<pad>": "pad_token",
    "<|pad|>": "pad_token",
    "[PAD]": "pad_token",
    "[UNK]": "unk_token",
    "[CLS]": "cls_token",
    "[SEP]": "sep_token",
    "[MASK]": "mask_token",
}
BYTE_SPACE = "Ġ"  # a space in a byte-level vocabulary
MODEL = "spiece.model"
_ENDS = ("eos_token", "sep_token")  # the role that ends a document, in order of preference


def count(text: pa.Array, spec: TokenizeSpec) -> Counted:
    """Count the pre-tokens of ``text`` (string, rows) as ``spec`` normalizes and splits them."""
    split = with_digits(spec.split, spec.digits)
    return count_batch(normalized(text, FORMS.get(spec.normalizer)), split, spec.max_word_bytes)


class Tokenizer:
    """A tokenizer.json and what encodes with it; equal documents behave and digest equally."""

    def __init__(
        self,
        document: bytes,
        config: Mapping[str, Any] | None = None,
        file: str = "",
        model: bytes | None = None,
    ):
        """Take a tokenizer.json; ``config`` is the tokenizer_config.json, which names roles.

        ``model`` is the same tokenizer as SentencePiece writes it.
        """
        self.document, self._model = document, model
        try:
            self._json: dict[str, Any] = json.loads(document)
            vocab = self._json["model"]["vocab"]
            added = self._json.get("added_tokens") or []
            self._ids: dict[str, int] = (
                dict(vocab) if isinstance(vocab, dict) else {v[0]: i for i, v in enumerate(vocab)}
            )
            self._ids |= {token["content"]: token["id"] for token in added}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"not a tokenizer: {type(error).__name__} {error}",
                file=file or "tokenizer.json",
                expected="the tokenizer.json of Hugging Face tokenizers",
            ) from None
        self.special_tokens = [token["content"] for token in added if token.get("special")]
        self._roles = {
            _ROLES[name]: name for name in reversed(self.special_tokens) if name in _ROLES
        }
        for role, name in (config or {}).items():
            name = name.get("content") if isinstance(name, dict) else name
            if role in _ROLES.values() and name in self._ids:
                self._roles[role] = name
        self.why = ""
        self._own: Own | None = None
        try:
            self._own = recognize(self._json)
        except NotOursError as reason:
            self.why = str(reason)
        self.engine = "own" if self._own else "tokenizers"
        self._encode: Engine | None = None

    def use(self, engine: str) -> None:
        """Encode with ``own``, ``gigatoken`` or ``tokenizers`` from now on.

        Where the own kernel does not serve, ``own`` means the library, and ``why`` says why not.
        Raises ExtraMissing without the package, SpecError for a tokenizer that it does not serve.
        """
        if engine == "gigatoken":
            self._encode = GigatokenEngine(self.document)
        else:
            self._encode = None
        self.engine = "tokenizers" if engine == "own" and not self._own else engine

    def check(self, text: pa.Array) -> None:
        """Raise RunError unless the engine gives the ids of the tokenizers library for ``text``."""
        if self.engine == "tokenizers" or not len(text):
            return
        found, offsets = self._engine(text, None)
        wanted, bounds = LibraryEngine(self.library)(text, None)
        if np.array_equal(offsets, bounds) and np.array_equal(found, wanted):
            return
        lists = [np.split(ids, at[1:-1]) for ids, at in ((found, offsets), (wanted, bounds))]
        pairs = enumerate(zip(*lists, strict=True))
        row = next(number for number, (one, two) in pairs if not np.array_equal(one, two))
        raise RunError(
            f"the engine '{self.engine}' gives other ids than the tokenizers library",
            record=row,
            remedy="set engine=tokenizers, and report it with this text",
        )

    @property
    def _engine(self) -> Engine:
        if self._encode is None:
            own = self._own if self.engine == "own" else None
            self._encode = OwnEngine(own) if own else LibraryEngine(self.library)
        return self._encode

    @classmethod
    def train(cls, counts: pa.Table, spec: TokenizeSpec) -> Tokenizer:
        """Learn from COUNTS, in any order, what ``spec`` asks for. Same counts, same bytes.

        Raises SpecError where the special tokens, split and vocabulary size do not go together.
        """
        tokenizer_spec.check(spec)
        words, numbers = counts.column("word"), counts.column("count")
        if spec.algo == "unigram":
            model = train_unigram(words, numbers, spec.vocab_size, spec.specials)
            known = {piece for piece, _ in model.pieces}
            tokenizer_spec.refuse_whole(
                [n for n in [*spec.specials, "<0x00>"] if not known.issuperset(n)], spec
            )
            return cls(unigram_document(model.pieces, spec), model=model.file)
        if spec.algo == "wordpiece":
            words, numbers = _without_spaces(words, numbers)
        amounts = numbers.to_numpy()
        limits = spec.vocab_size, spec.min_frequency, spec.specials, spec.max_token_length
        if spec.algo == "wordpiece":
            return cls(wordpiece_document(train_wordpiece(words, amounts, *limits), spec))
        if spec.alphabet == "characters":
            learnt = train_characters(words, amounts, *limits, spec.max_alphabet)
        else:
            learnt = train_bpe(words, amounts, *limits)
        return cls(bpe_document(learnt, spec))

    @classmethod
    def load(cls, path: str) -> Tokenizer:
        """Read a folder with a tokenizer.json, or such a file, local or remote."""
        with errors_of(str(path)):
            return cls._load(str(path))

    @classmethod
    def _load(cls, path: str) -> Tokenizer:
        system, name = file_system(path)
        folder = name.rstrip("/") if system.isdir(name) else system._parent(name)
        file = f"{folder}/tokenizer.json" if system.isdir(name) else name
        try:
            document = system.cat_file(file)
        except FileNotFoundError:
            raise InputError(
                "no such tokenizer", file=path, expected="a folder with a tokenizer.json"
            ) from None
        try:
            config = json.loads(system.cat_file(f"{folder}/tokenizer_config.json"))
        except FileNotFoundError:
            config = None
        except ValueError as error:
            raise InputError(f"not JSON: {error}", file=f"{folder}/tokenizer_config.json") from None
        model = f"{folder}/{MODEL}"
        return cls(document, config, path, system.cat_file(model) if system.exists(model) else None)

    @property
    def files(self) -> dict[str, bytes]:
        """The files of a saved tokenizer by name: three, and SentencePiece's where it has one."""
        roles = {role: self._roles[role] for role in sorted(self._roles)}
        config = {
            "added_tokens_decoder": {
                str(token["id"]): {key: token[key] for key in sorted(token) if key != "id"}
                for token in self._json.get("added_tokens") or []
            },
            "clean_up_tokenization_spaces": False,
            **roles,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
        return {
            "tokenizer.json": self.document,
            "tokenizer_config.json": _pretty(config),
            "special_tokens_map.json": _pretty(roles),
            **({MODEL: self._model} if self._model else {}),
        }

    def save(self, folder: str) -> None:
        """Write ``files`` into ``folder``, which is made if need be."""
        for file, content in self.files.items():
            write_bytes(f"{str(folder).rstrip('/')}/{file}", content)

    @property
    def digest(self) -> str:
        """The sha256 (hex) of the tokenizer.json."""
        return hashlib.sha256(self.document).hexdigest()

    @cached_property
    def vocab_size(self) -> int:
        """One more than the largest id."""
        return max(self._ids.values()) + 1

    @property
    def width(self) -> int:
        """Bits of an id in a token shard, 16 or 32."""
        return 16 if self.vocab_size <= 1 << 16 else 32

    @property
    def eot(self) -> int | None:
        """Id of the token that ends a document, if there is one."""
        return next((self._ids[self._roles[role]] for role in _ENDS if role in self._roles), None)

    def id_of(self, token: str) -> int | None:
        """Id of a token as it stands in the vocabulary, special tokens included."""
        return self._ids.get(token)

    def special(self, role: str) -> int | None:
        """Id of the special token of a role ("mask_token", "pad_token", ...), if there is one."""
        return self._ids[self._roles[role]] if role in self._roles else None

    @cached_property
    def names(self) -> dict[int, str]:
        """The tokens by id, readable: bytes that are text as text."""
        if self._own is None:
            return {number: token for token, number in self._ids.items()}
        special = set(self.special_tokens)
        plain = {n: piece.decode("utf-8", "replace") for n, piece in self._bytes.items()}
        return plain | {n: token for token, n in self._ids.items() if token in special}

    @cached_property
    def sentinels(self) -> list[int]:
        """Ids of <extra_id_0>, <extra_id_1>, ..., which stand for spans of text, as T5 has them."""
        found: list[int] = []
        while (number := self._ids.get(f"<extra_id_{len(found)}>")) is not None:
            found.append(number)
        return found

    @cached_property
    def starts(self) -> np.ndarray:
        """Which tokens begin a word, bool [vocab_size].

        In WordPiece those without "##", elsewhere those that begin with a space or are no letters.
        """
        prefix = self._json["model"].get("continuing_subword_prefix")
        found = np.ones(self.vocab_size, dtype=bool)
        for token, number in self._ids.items():
            if prefix:
                found[number] = not token.startswith(prefix)
            else:
                found[number] = token[:1] in (SPACE, BYTE_SPACE) or not token[:1].isalnum()
        return found

    def encode_batch(self, text: pa.Array, *, end: bool = False) -> pa.LargeListArray:
        """Encode ``text`` (string, rows) to large_list<uint16|uint32>; a null becomes an empty row.

        ``end`` puts ``eot`` after each row. Raises SpecError if there is no such token.
        """
        if end and self.eot is None:
            raise SpecError(
                "the tokenizer has no token that ends a document",
                expected=f"one of {', '.join(n for n, r in _ROLES.items() if r in _ENDS)}",
                remedy="add it to special_tokens",
            )
        ids, offsets = self._engine(text, self.eot if end else None)
        values = pa.array(ids.astype(np.uint16 if self.width == 16 else np.uint32))
        return pa.LargeListArray.from_arrays(pa.array(offsets), values)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ``ids`` without special tokens; broken UTF-8 becomes U+FFFD."""
        if self._own is None:
            return self.library.decode([int(number) for number in ids], skip_special_tokens=True)
        pieces = self._bytes
        return b"".join([pieces[int(number)] for number in ids]).decode("utf-8", "replace")

    def round_trips(self, text: pa.Array, ids: pa.LargeListArray) -> np.ndarray | None:
        """Tell of each row whether ``ids`` give its (normalized) text back: (rows,) bool.

        None where they cannot be meant to: WordPiece drops white space.
        """
        if self._own is not None:
            data, offsets = utf8(normalized(text, self._own.form))
            values = ids.values.to_numpy().astype(np.int32)
            return spells(values, ids.offsets.to_numpy(), *self._spelled, data, offsets)
        if self._json["model"].get("type") not in ("BPE", "Unigram"):
            return None
        found = self.library.decode_batch(ids.to_pylist(), skip_special_tokens=True)
        change = self.library.normalizer
        wanted = [change.normalize_str(row) if change else row for row in text.to_pylist()]
        return np.array([one == two for one, two in zip(found, wanted, strict=True)], dtype=bool)

    @cached_property
    def _spelled(self) -> tuple[np.ndarray, np.ndarray]:
        """The bytes of all tokens by id in one array, and where each begins."""
        pieces = [self._bytes.get(number, b"") for number in range(self.vocab_size)]
        cuts = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
        return np.frombuffer(b"".join(pieces), dtype=np.uint8), cuts

    @cached_property
    def library(self) -> tokenizers.Tokenizer:
        """The same tokenizer in the Hugging Face library, special tokens in text as plain text."""
        found = tokenizers.Tokenizer.from_str(self.document.decode("utf-8"))
        found.encode_special_tokens = True
        return found

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        """Bytes of each token of a byte-level vocabulary; of a special token none."""
        byte_of = {character: byte for byte, character in enumerate(byte_characters())}
        special = set(self.special_tokens)
        return {
            number: b"" if token in special else bytes([byte_of[char] for char in token])
            for token, number in self._ids.items()
        }


def _without_spaces(words: pa.ChunkedArray, counts: pa.ChunkedArray) -> tuple[Any, Any]:
    """Words without the white space around them, the counts of equal ones summed."""
    trimmed = pc.utf8_trim_whitespace(words.cast(pa.large_string()))
    table = pa.table({"word": trimmed, "count": counts})
    table = table.filter(pc.not_equal(table["word"], ""))
    table = table.group_by("word", use_threads=False).aggregate([("count", "sum")])
    return table["word"], table["count_sum"]


def _pretty(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
