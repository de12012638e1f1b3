"""Segment what is larger than memory: tiles, their objects made one, planes linked, in jobs that survive a kill."""
