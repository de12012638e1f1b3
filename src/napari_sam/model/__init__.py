"""The Segment Anything model: parts, assembly, checkpoints."""
