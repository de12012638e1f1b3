"""Losses of masks and of their predicted quality."""
