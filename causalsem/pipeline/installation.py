"""What is installed here, which device there is, and how to get what is missing."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

# A fresh install under this pin gets the small build without CUDA where the registry offers one.
SMALL_TORCH = "pip install --constraint constraints.txt torch=={}"


def installation() -> dict[str, object]:
    """Return versions by package (None where absent), the device, torch's CUDA, and install lines for what is missing."""
    packages = {name: _version(name) for name in ("causalsem", *_needed(extra=None))}
    optional = {extra: {name: _version(name) for name in _needed(extra)} for extra in _extras()}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "optional": optional,
        **_device(),
        "missing": [f"pip install {name}" for name, found in packages.items() if found is None]
        + [f"pip install 'causalsem[{extra}]'" for extra, names in optional.items() if None in names.values()],
        "small_torch": SMALL_TORCH.format((packages.get("torch") or "2.13.0").split("+")[0]),
    }


def _device() -> dict[str, object]:
    try:
        import torch
    except ImportError:
        return {"device": "none", "device_name": "torch is not installed", "cuda": None}
    if torch.cuda.is_available():
        return {"device": "cuda", "device_name": torch.cuda.get_device_name(0), "cuda": torch.version.cuda}
    return {"device": "cpu", "device_name": platform.processor() or platform.machine(), "cuda": torch.version.cuda}


def _needed(extra: str | None) -> list[str]:
    """Return the packages that the project, or one of its extras, asks for."""
    names = []
    for line in requires("causalsem") or ():
        found = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        if (found.group(1) if found else None) == extra:
            names.append(re.match(r"[A-Za-z0-9._-]+", line).group())  # type: ignore[union-attr]  # every requirement begins with a name
    return names


def _extras() -> list[str]:
    """Return the extras a user may want."""
    found = re.findall(r"extra == ['\"]([^'\"]+)['\"]", "\n".join(requires("causalsem") or ()))
    return [extra for extra in dict.fromkeys(found) if extra not in {"dev", "docs", "bench"}]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
