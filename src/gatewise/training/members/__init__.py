"""The fit of each kind of member."""
