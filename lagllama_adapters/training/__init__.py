"""Pretraining: windows, augmentation, loss, loop, validation."""
