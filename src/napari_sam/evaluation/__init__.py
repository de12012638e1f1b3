"""How good the masks are: metrics, the paper's protocols, reports."""
