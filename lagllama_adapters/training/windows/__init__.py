"""Random training windows from a corpus: their settings, which series, and the batches."""
