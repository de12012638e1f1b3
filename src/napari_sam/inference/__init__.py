"""From an image and prompts to masks: normalisation, windows, embeddings, the predictor and its worker thread."""
