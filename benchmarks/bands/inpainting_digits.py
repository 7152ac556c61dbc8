"""The bands of examples/inpainting_digits.py: its network, data and budget in PyTorch.

python benchmarks/bands/inpainting_digits.py 0 1
"""

import sys

from diffusion_training import train

if __name__ == "__main__":
    import inpainting_digits as example  # of examples/, which diffusion_training puts first

    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        print("seed", seed, flush=True)
        for what, value in example.measure(train(seed), mnist=False).items():
            print(f"{what:46s} {value:.4f}")
