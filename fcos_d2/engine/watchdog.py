"""Ends a run of several ranks when one of them makes no progress any more."""

import faulthandler
import math
import os
import threading
from contextlib import suppress

from detectron2.engine import HookBase
from detectron2.utils import comm

from .progress import COMPUTES, FOLDER, GO_ON, Note, OwnNote, after, end, is_stopped, read_notes

STUCK = 124  # the exit code, as of timeout(1)


class Watchdog(HookBase):
    """Notes the progress of this rank, and looks for the culprit where there is none.

    All ranks go in step, so each sees from its own iterations that one of them is stuck. Which one
    it is, the notes of all tell: one whose process does not run at all, else the one that is
    behind. Evaluation and writing a checkpoint may take as long as they like, but a process that
    is stopped is found there, too. Time is counted in ticks of this process: a run that was
    stopped as a whole (Ctrl-Z) has missed none.
    """

    def __init__(self, output_dir: str, minutes: float) -> None:
        """
        Args:
            output_dir: of the run; stacks of a rank that is stuck go there.
            minutes: without progress, after which the run ends; 0: never.

        Raises:
            ValueError: less than 0 minutes.
        """
        if not minutes >= 0:
            raise ValueError(f"`stall_minutes` must be 0 or more, got {minutes}")
        self.output_dir = output_dir
        self.folder = os.environ.get(FOLDER) or os.path.join(output_dir, "ranks")
        self.minutes = minutes
        self.period = min(5.0, minutes * 60 / 10)  # s
        self.limit = math.ceil(minutes * 60 / self.period) if minutes else 0  # ticks
        self.note: OwnNote | None = None
        self._ended = threading.Event()

    def before_train(self) -> None:
        """Raises ValueError where the ranks do not start together."""
        starts = comm.all_gather(self.trainer.iter)
        if comm.get_world_size() == 1:
            return
        if other := [i for i, start in enumerate(starts) if start != starts[0]]:
            raise ValueError(
                f"rank 0 starts at iteration {starts[0]}, but rank {other[0]} at "
                f"{starts[other[0]]}: all need the same `output_dir` on a disk that their "
                "machines share"
            )
        self.note = OwnNote(self.folder, comm.get_rank(), self.trainer.iter - 1)
        comm.synchronize()  # from here on, no note is of an earlier run
        if self.minutes:
            self._ended.clear()
            threading.Thread(target=self._watch, daemon=True).start()

    def after_step(self) -> None:
        if self.note is not None:
            self.note.finish(self.trainer.iter)

    def after_train(self) -> None:
        self._ended.set()
        if self.note is not None and self.trainer.iter >= self.trainer.max_iter:
            self.note.remove()

    def _watch(self) -> None:
        """Looks at the others only when this rank has made no progress for half of the time."""
        own = self.note
        assert own is not None, "before_train has made it"
        idle, last, half = 0, own.iteration, self.limit // 2
        seen: dict[int, Note] = {}
        quiet: dict[int, int] = {}  # looks in which a rank did not move
        while not self._ended.wait(self.period):
            own.tick()
            idle = idle + 1 if own.iteration == last else 0
            last = own.iteration
            if idle < half:
                seen, quiet = {}, {}
                continue
            notes = read_notes(self.folder) | {comm.get_rank(): own.read()}
            for rank, note in notes.items():
                runs = rank not in seen or seen[rank].ticks != note.ticks
                quiet[rank] = 0 if runs else quiet.get(rank, 0) + 1
                if note.takes_its_time and runs:
                    idle = half
            seen = notes
            silent = [rank for rank, ticks in quiet.items() if ticks >= half]
            if silent or idle >= self.limit:
                self._give_up(notes, silent)

    def _give_up(self, notes: dict[int, Note], silent: list[int]) -> None:
        """The culprit leaves its stack, one rank says what is the matter, and all end."""
        culprits = silent or ranks_behind(notes)
        if comm.get_rank() in culprits:
            with suppress(OSError), open(self._stack_file(comm.get_rank()), "w") as file:
                faulthandler.dump_traceback(file)
        speaker = min(rank for rank in notes if rank not in silent)
        self._ended.wait(self.period * (2 if speaker == comm.get_rank() else 4))
        if self._ended.is_set():
            return
        if speaker == comm.get_rank():
            line = self._line(notes, culprits, silent)
            with suppress(OSError), open(os.path.join(self.output_dir, "log.txt"), "a") as file:
                file.write(f"{line}\n")
            # Not through a logger, whose lock may be what this rank hangs in.
            os.write(2, f"{line}\n".encode())
            for rank in silent:
                if notes[rank].is_here:
                    end(notes[rank])
        os._exit(STUCK)

    def _line(self, notes: dict[int, Note], culprits: list[int], silent: list[int]) -> str:
        first = notes[culprits[0]]
        who = f"rank{'s' * (len(culprits) > 1)} {', '.join(map(str, culprits))}"
        what = f"made no progress for {self.minutes:g} minutes"
        if silent:
            what += ", stopped by a signal" if is_stopped(first) else ", not running any more"
        unseen = sorted(set(range(comm.get_world_size())) - set(notes))
        if unseen:
            what += f" (what rank {', '.join(map(str, unseen))} did cannot be seen from here)"
        stack = self._stack_file(culprits[0])
        doing = first.doing
        if os.path.isfile(stack) and not silent:
            doing += f"; the stack of rank {culprits[0]} is in {stack}"
        return f"error: {who} {what}{after(first)}, {doing}; {GO_ON}"

    def _stack_file(self, rank: int) -> str:
        return os.path.join(self.output_dir, f"stack_of_rank_{rank}.txt")


def ranks_behind(notes: dict[int, Note]) -> list[int]:
    """Those that the others wait for: in the earliest iteration, and there not computing."""
    order = {rank: (note.iteration, note.doing == COMPUTES) for rank, note in notes.items()}
    return [rank for rank in notes if order[rank] == min(order.values())]
