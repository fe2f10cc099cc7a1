"""A trained run, opened and applied: bundle, calibration, detector gate, cascade, files."""
