"""The bands of examples/diffusion_digits.py: its network, data and budget in PyTorch.

python benchmarks/bands/diffusion_digits.py 0 1
"""

import sys

from diffusion_training import example, train

if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        print("seed", seed, flush=True)
        example.report(example.measure(train(seed), mnist=False), example.DIGITS)
