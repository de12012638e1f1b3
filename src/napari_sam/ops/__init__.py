"""Pure functions on boxes, points and masks."""
