"""corpusforge: raw web pages to a trained tokenizer and language model, all accounted for."""

__version__ = "0.1.0"
