"""Tokenizer specs that come with the package, by name."""
