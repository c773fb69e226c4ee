"""The attacks, one module per subject."""
