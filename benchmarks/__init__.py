"""How fast tinygen is beside PyTorch and JAX at the same work: `python -m benchmarks`."""
