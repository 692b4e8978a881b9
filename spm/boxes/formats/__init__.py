"""Readers and writers of box files, one module per format."""
