"""Which line of the user's code is running: for messages that must name it.

An op can't afford a traceback, so a line is kept as what it costs least to get, and put into words
only when it is needed.
"""

from __future__ import annotations

import os
import sys
from types import CodeType

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
Line = tuple[CodeType, int]  # a function's code, and how far in it


class Ours(dict):
    """Whether a file is tinygen's own. Each is looked at once: an op has some ten frames above it,
    and would otherwise take longer to compare names than to be recorded."""

    def __missing__(self, filename: str) -> bool:
        self[filename] = own = filename.startswith(PACKAGE)
        return own


ours = Ours()


def user_line(depth: int = 2) -> Line | None:
    """The innermost line that is running outside of tinygen, which is `depth` calls from here or
    further: each frame that need not be looked at saves time."""
    frame = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        if not ours[code.co_filename]:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def described(line: Line | None) -> str:
    """The line as in a traceback: file, number, function and source."""
    if line is None:
        return "  an unknown line"
    import linecache

    code, instruction = line
    number = next((n for start, end, n in code.co_lines() if start <= instruction < end and n), 0)
    source = linecache.getline(code.co_filename, number).strip()
    place = f'  File "{code.co_filename}", line {number}, in {code.co_name}'
    return f"{place}\n    {source}" if source else place
