"""Training on torch: token shards to a model. The only folder that imports torch."""
