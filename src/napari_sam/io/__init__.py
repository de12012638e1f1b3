"""Files in and out: images, labels, data sets, prompt tables, journals."""
