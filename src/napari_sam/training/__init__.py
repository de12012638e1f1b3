"""Training: prompt simulation, loop, run folder."""
