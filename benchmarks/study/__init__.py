"""A study of what training and promotion add: python -m benchmarks.study.run."""
