"""Members of a model: each gives logits for sequences. A model is their weighted sum."""
