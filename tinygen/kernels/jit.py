"""How kernels are compiled, cached and given threads."""

_threads = 1


def set_num_threads(threads: int) -> None:
    global _threads
    _threads = threads


def get_num_threads() -> int:
    return _threads
