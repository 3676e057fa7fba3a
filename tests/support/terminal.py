"""A real terminal of the system (pty), and what a person sees in it."""

import fcntl
import os
import re
import struct
import termios
from types import TracebackType

_PIECES = re.compile(r"\x1b\[(\d*)(?:;\d+)*([A-Za-z])|([\r\n])|([^\x1b\r\n])")


class PseudoTerminal:
    """Has a stream to write to; `screen` gives the lines that stand there."""

    def __init__(self, columns: int = 80) -> None:
        self._reader, writer = os.openpty()
        os.set_blocking(self._reader, False)
        self.stream = os.fdopen(writer, "w", encoding="utf-8")
        self.text = ""
        self.resize(columns)

    def __enter__(self) -> "PseudoTerminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stream.close()
        os.close(self._reader)

    def resize(self, columns: int) -> None:
        self.columns = columns
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def screen(self) -> list[str]:
        """The lines, without empty ones at the end."""
        self.stream.flush()
        data = b""
        while True:
            try:
                data += os.read(self._reader, 65536)
            except BlockingIOError:
                break
        self.text += data.decode()
        return lines_of(self.text)


def lines_of(text: str) -> list[str]:
    """What a terminal shows of a text with carriage returns, ways up, and colours."""
    lines, row, column = [[]], 0, 0
    for count, code, control, letter in _PIECES.findall(text):
        if control == "\r":
            column = 0
        elif control == "\n":
            row += 1
        elif code == "A":
            row = max(row - int(count or 1), 0)
        elif letter:
            line = lines[row]
            line += " " * (column + 1 - len(line))
            line[column] = letter
            column += 1
        else:
            assert code == "m", code
        lines += [[] for _ in range(row + 1 - len(lines))]
    shown = ["".join(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown
