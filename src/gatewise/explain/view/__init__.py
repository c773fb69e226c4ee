"""Attributions and traces as the JSON that the page and the HTML report draw."""
