"""Chat templates: Jinja as in a tokenizer_config.json, rendered in Jinja's sandbox, and as tokens.

Special tokens that the template writes become their ids; where a message spells one, it is text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.sandbox
import pyarrow as pa

from corpusforge.errors import InputError
from corpusforge.tokenizer import Tokenizer

from .base import CONFIG

Message = Mapping[str, str]  # role and content
MARK = "\ufdd0"  # a code point that is no character stands in special tokens that messages spell
_RAISED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
DEFAULT = (  # after the token that begins a text, where the tokenizer has one
    "{% for message in messages %}### {{ message['role'] | capitalize }}:\n"
    "{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}### Assistant:\n{% endif %}"
)


class Chat:
    """A template and the tokenizer it writes for; InputError where it cannot be rendered."""

    def __init__(self, tokenizer: Tokenizer, template: str | None) -> None:
        begin = tokenizer.special("bos_token") not in (None, tokenizer.eot)
        self.tokenizer = tokenizer
        self.template = template or "{{ bos_token }}" * begin + DEFAULT
        # as transformers (5.24) sets it
        sandbox = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        sandbox.globals["raise_exception"] = _refuse
        sandbox.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        try:
            self._template = sandbox.from_string(self.template)
        except jinja2.TemplateError as error:
            raise self._wrong(error) from None
        self._roles = {
            role: "" if (number := tokenizer.special(role)) is None else tokenizer.names[number]
            for role in ("bos_token", "eos_token", "pad_token", "unk_token")
        }
        names = sorted(tokenizer.special_tokens, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, names))) if names else None

    def _wrong(self, error: Exception) -> InputError:
        return InputError(
            f"the chat template: {type(error).__name__}: {error}", file=CONFIG,
            expected="a Jinja template of messages",
        )  # fmt: skip

    def render(self, messages: Sequence[Message], ask: bool = False) -> str:
        """The text of messages; ``ask`` ends it where an answer begins."""
        shown = [{key: self._as_text(value) for key, value in one.items()} for one in messages]
        try:
            return self._template.render(messages=shown, add_generation_prompt=ask, **self._roles)
        except (jinja2.TemplateError, *_RAISED) as error:
            raise self._wrong(error) from None

    def _as_text(self, text: str) -> str:
        text = text.replace(MARK, "")
        if self._special is None:
            return text
        return self._special.sub(lambda found: found[0][:1] + MARK + found[0][1:], text)

    def tokens(self, text: str) -> list[int]:
        """Ids of a rendered text."""
        ids, at = list[int](), 0
        for found in self._special.finditer(text) if self._special else ():
            ids += self._plain(text[at : found.start()])
            number = self.tokenizer.id_of(found[0])
            ids += [] if number is None else [number]
            at = found.end()
        return ids + self._plain(text[at:])

    def _plain(self, text: str) -> list[int]:
        text = text.replace(MARK, "")
        found: list[int] = self.tokenizer.encode_batch(pa.array([text])).values.to_pylist()
        return found

    def pieces(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Ids of a conversation, and which of them are answers: assistant's, with what ends them.

        Each turn is encoded alone, as it is when a model answers.
        """
        ids, mine, done = list[int](), list[bool](), ""
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            for text, answer in (
                (self.render(messages[:place], ask=True), False),
                (self.render(messages[: place + 1]), True),
            ):
                if not text.startswith(done):
                    raise InputError(
                        "the chat template writes the beginning of a conversation anew with each "
                        "turn", file=CONFIG, expected="one that only adds to it",
                    )  # fmt: skip
                added = self.tokens(text[len(done) :])
                ids, mine, done = [*ids, *added], [*mine, *[answer] * len(added)], text
        return ids, mine

    def keep(self, folder: Path) -> None:
        """Write the template into the folder's tokenizer_config.json."""
        path = folder / CONFIG
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config["chat_template"] = self.template
        text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
        path.write_text(text, encoding="utf-8")


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
