"""python -m tinygen: look after an installation."""

import argparse
import platform
import sys
from importlib import metadata

from tinygen import __version__, get_num_threads
from tinygen.kernels import jit

COMMANDS = {
    "warmup": "compile all kernels now, which else happens when each is first used",
    "info": "versions, threads, vector width, and where compiled kernels are kept",
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tinygen",
        description=f"tinygen {__version__}: generative models, and the autodiff engine under them",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:8s} {text}" for name, text in COMMANDS.items()),
    )
    parser.add_argument("command", nargs="?", choices=COMMANDS, help="one of those below")
    command = parser.parse_args(arguments).command
    if command is None:
        parser.print_help()
        return 0
    try:
        return warmup() if command == "warmup" else info()
    except KeyboardInterrupt:
        print("\nstopped; what was compiled so far is kept", file=sys.stderr)
        return 130


def warmup() -> int:
    """Compile everything, with a progress bar."""
    if not jit.ENABLED:
        print("nothing to compile: TINYGEN_JIT=0 runs everything in NumPy")
        return 0
    from tqdm import tqdm

    from tinygen.kernels.cache import cache_directory
    from tinygen.warmup import EXAMPLES, compile_all

    with tqdm(total=len(EXAMPLES), desc="compiling", unit="part") as bar:
        for name in compile_all(processes=max(1, min(4, jit.available_cores()))):
            bar.set_postfix_str(name)
            bar.update()
    print(f"all kernels are in {cache_directory()}")
    return 0


def info() -> int:
    """What somebody who wants to help needs to know."""
    packages = ("numpy", "numba", "llvmlite", "threadpoolctl")
    rows = {
        "tinygen": __version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        **{package: metadata.version(package) for package in packages},
        "cores": str(jit.available_cores()),
        "threads": str(get_num_threads()),
    }
    if jit.ENABLED:
        import llvmlite.binding as llvm

        from tinygen.kernels.cache import cache_directory
        from tinygen.kernels.simd import LANES

        rows |= {
            "processor": llvm.get_host_cpu_name(),
            "vectors": f"{LANES} × float32",
            "threads safe": "yes" if jit.safe_threads() else "no, one is used",
            "kernels": cache_directory(),
        }
    else:
        rows["kernels"] = "off (TINYGEN_JIT=0): NumPy does everything"
    for name, value in rows.items():
        print(f"{name:14s} {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
