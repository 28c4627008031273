"""Inputs for guests that nobody has told anything of: made from their own bytes, kept when they do new."""
