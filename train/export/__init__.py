"""Models to folders of Hugging Face transformers and back; a family is one file and one line.

A folder holds config.json, model.safetensors and the tokenizer's files. Pickled weights are never
read.
"""

from __future__ import annotations

from .bert import BERT
from .family import Family
from .gpt2 import GPT2
from .llama import LLAMA, STARCODER2
from .t5 import T5
from .xlnet import XLNET

FAMILIES: tuple[Family, ...] = (BERT, XLNET, T5, GPT2, LLAMA, STARCODER2)

__all__ = ["FAMILIES", "Family"]
