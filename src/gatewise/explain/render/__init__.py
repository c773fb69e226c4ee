"""Attributions and traces as terminal text and as HTML."""
