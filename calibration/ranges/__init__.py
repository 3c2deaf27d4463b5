"""Ranges of values, measured over calibration images."""
