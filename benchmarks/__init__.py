"""Benchmarks of duoflask beside its peers; `python -m benchmarks.inprocess --help` tells how to run them."""
