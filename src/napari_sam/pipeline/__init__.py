"""From prompts to labels: writing, segmenting, replaying."""
