"""There is one device, the CPU. What scripts say of devices in passing is answered here."""

from types import SimpleNamespace


def check_device(device) -> None:
    """Accept None and the CPU; refuse anything else."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise RuntimeError(
            f"tinygen runs on the CPU only; device {device!r} is not there: use 'cpu'"
        )


def check_place(device=None, layout=None, pin_memory=False, memory_format=None) -> None:
    """What scripts say of where, and how, a new tensor lies in memory: there is but one way."""
    check_device(device)


def device(name: str = "cpu") -> str:
    """The device of that name: the CPU."""
    check_device(name)
    return "cpu"


cuda = SimpleNamespace(
    is_available=lambda: False, device_count=lambda: 0, manual_seed_all=lambda seed: None
)
backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))
