"""Settings: one frozen dataclass per concern."""
