"""A schedule that ends when its time is up, whatever the steps turn out to cost.

Pure arithmetic: time is handed in, so that a test can simulate hours. The schedule is passed
through by `progress`, from 0 to 1. After each step it moves by what is left of it, divided by the
iterations that still fit; these follow from the last steps and from what else has to be done until
the end. So a slower machine passes through the same schedule in fewer steps.
"""

import math
import statistics
from collections import deque
from dataclasses import dataclass

WINDOW = 20  # steps that the pace follows from
WARM_UP = 3  # steps, of which the fastest counts
RECENT = 5  # steps that tell how fast the machine is at the moment
OUTLIER = 3.0  # times the median, the most that one of them counts
EVALUATIONS = 10  # over the whole run, ...
EVALUATION_SHARE = 0.05  # ... in at most this share of the budget
SAVE_SHARE, SAVE_SECONDS = 0.05, 60.0  # of the budget, or s, between checkpoints: the longer one
LANDING_STEPS, LANDING_SHARE = 10, 0.02  # of the budget, at most, where time ran out at once
LANDED = 0.9  # progress from which on the schedule counts as passed through
FINISH = 0.5  # s, from the last result to the last line
SECOND_LOOK = 0.5  # progress at which an evaluation is guessed again, if none has been made


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows a step; the same on all ranks."""

    progress: float  # at which the next step learns; 1: there is none
    evaluate: bool = False
    save: bool = False
    least: float = 0.0  # s, a budget that would do; 0: this one does


class Budget:
    """How a run divides its time; see the top of the file."""

    def __init__(self, seconds: float, schedule_length: int, eval_period: int = 0) -> None:
        """
        Args:
            seconds: of wall time that the run may use, from its command to its last line.
            schedule_length: iterations that the schedule of the config is written for.
            eval_period: iterations between evaluations; 0: at shares of the progress.

        Raises:
            ValueError: no time.
        """
        if not 0 < seconds < math.inf:
            raise ValueError(f"`budget` must be a number of seconds above 0, got {seconds}")
        self.seconds = seconds
        self.schedule_length = schedule_length
        self.eval_period = eval_period
        self.progress = 0.0
        self.stride = 0.0  # of the last step, in iterations of the schedule
        self._steps: deque[float] = deque(maxlen=WINDOW)  # s
        # What was measured last: s, and the pace at that time.
        self._costs: dict[str, deque[tuple[float, float]]] = {}
        # What is expected: s, and the pace at that time; inf: that of the first steps.
        self._expected: dict[str, tuple[float, float]] = {}
        self._first_pace = math.inf
        self._looked = -1.0  # progress when an evaluation was guessed last
        self._announced: dict[str, float] = {}
        self._last: float | None = None  # s used when the last step was looked at
        self._paused = 0.0  # s since then
        self._saved = 0.0  # s used then
        self._evaluated = 0.0  # progress then
        self._landing: int | None = None  # steps left

    def position(self) -> float:
        """The iteration of the config's schedule that stands for the progress."""
        return self.progress * self.schedule_length

    def begin(self, used: float) -> None:
        """The first step of this process begins now; `used` s of the budget are gone."""
        self._last = self._saved = used
        self._paused = 0.0

    def announce(self, what: str, seconds: float) -> None:
        """Keeps time free for something that is done once, after the last evaluation."""
        self._announced[what] = seconds

    def expect(self, what: str, seconds: float) -> None:
        """What an "evaluation" or a "save" is thought to take, until one has been measured."""
        self._expected[what] = seconds, self._recent()
        if what == "evaluation":
            self._looked = self.progress

    def must_guess(self) -> bool:
        """Whether to find out what an evaluation will take: before the first step, and half way.

        A guess from the start is made while the machine is busy with the start, by a model that
        finds nothing yet; what it is too high by, the run would end too early.
        """
        if "evaluation" in self._costs or self.progress >= 1:
            return False
        return "evaluation" not in self._expected or self._looked < SECOND_LOOK <= self.progress

    def paused(self, what: str, seconds: float) -> None:
        """An "evaluation" (with what belongs to it) or a "save" took this long since the step."""
        self._costs.setdefault(what, deque(maxlen=2)).append((seconds, self._recent()))
        self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """So much of the time since the step went into something else."""
        self._paused += seconds

    def after_step(self, used: float, done: int) -> Decision:
        """What follows a step; `obey` goes there.

        Args:
            used: s of the budget.
            done: iterations of the run, with this one.
        """
        assert self._last is not None, "begin() comes first"
        self._steps.append(max(used - self._last - self._paused, 1e-6))
        self._last, self._paused = used, 0.0
        if len(self._steps) <= WARM_UP:
            self._first_pace = min(self._steps)
        fits = self.iterations_left(used)
        first = self.progress == 0.0
        if first and done == 1 and used + self._at_the_end() > self.seconds:
            return Decision(progress=1.0, least=used + self._at_the_end())
        if fits < 1:
            fits = self._land()
        if fits < 1:
            return Decision(progress=1.0)
        progress = self.progress + (1 - self.progress) / (fits + 1)
        evaluate = self._wants_evaluation(progress, done)
        save = evaluate or used - self._saved >= self._save_period
        if save:
            self._saved = used
        return Decision(progress=progress, evaluate=evaluate, save=save)

    def obey(self, decision: Decision) -> None:
        """Goes on to the progress that was decided."""
        self.stride = (decision.progress - self.progress) * self.schedule_length
        self.progress = decision.progress
        if decision.evaluate:
            self._evaluated = decision.progress

    def pace(self) -> float | None:
        """s that a step takes: the mean of the last ones, of which no outlier counts fully."""
        if not self._steps:
            return None
        if len(self._steps) < WARM_UP:  # the first ones are slower than all that follow
            return min(self._steps)
        limit = OUTLIER * statistics.median(self._steps)
        return statistics.fmean(min(step, limit) for step in self._steps)

    def iterations_left(self, used: float) -> float:
        """How many more steps fit before what has to be done at the end; not a whole number."""
        pace = self.pace()
        if pace is None:
            return math.inf
        left = self.seconds - used - self._at_the_end()
        left -= self._evaluations_left(left / pace) * self.cost("evaluation")
        left -= max(left, 0) / self._save_period * self.cost("save")
        return max(left / pace, 0.0)

    @property
    def _save_period(self) -> float:
        """s between checkpoints."""
        return max(SAVE_SHARE * self.seconds, SAVE_SECONDS)

    def _at_the_end(self) -> float:
        """s after the last step."""
        # With a measured evaluation, the files were written that are written at the end.
        files = 0.0 if "evaluation" in self._costs else 2 * self.cost("save")
        return self.cost("evaluation") + files + sum(self._announced.values()) + FINISH

    def cost(self, what: str) -> float:
        """s of an "evaluation" or a "save" at the pace of now: what slows down the steps counts.

        Of two times the longer one counts: not each evaluation finds new best weights to save.
        """
        expected, then = self._expected.get(what, (0.0, math.inf))
        then = self._first_pace if then == math.inf else then
        times = self._costs.get(what) or [(expected, then)]
        if not self._steps:
            return max(seconds for seconds, _ in times)
        now = self._recent()
        return max(seconds * min(max(now / pace, 0.25), 4.0) for seconds, pace in times)

    def _recent(self) -> float:
        """s that each of the last few steps took, which tells soonest how fast the machine is.

        inf before the first one, and always on ranks that only obey.
        """
        return math.inf if not self._steps else statistics.median([*self._steps][-RECENT:])

    def _evaluations(self) -> int:
        """Of the whole run, where they come at shares of its progress; the last is at its end."""
        cost = self.cost("evaluation")
        if cost <= 0:
            return EVALUATIONS
        return min(max(int(EVALUATION_SHARE * self.seconds / cost), 1), EVALUATIONS)

    def _evaluations_left(self, fits: float) -> int:
        """Before the one at the end."""
        if self.eval_period > 0:
            return int(max(fits, 0) / self.eval_period)
        share = 1 / self._evaluations()
        return max(int((1 - share / 2 - self._evaluated) / share), 0)

    def _wants_evaluation(self, progress: float, done: int) -> bool:
        if self.eval_period > 0:
            return done % self.eval_period == 0
        share = 1 / self._evaluations()
        return progress - self._evaluated >= share and 1 - progress >= share / 2

    def _land(self) -> int:
        """Steps until the end though there is no time: where much of the schedule is left, a few.

        So a run whose time goes all at once, as while a machine sleeps, does not end at a high
        learning rate.
        """
        if self._landing is None:
            pace = self.pace() or math.inf
            affordable = int(LANDING_SHARE * self.seconds / pace)
            wanted = LANDING_STEPS if self.progress < LANDED else 0
            self._landing = min(wanted, affordable)
        self._landing -= 1
        return self._landing + 1

    def state_dict(self) -> dict:
        return {
            "seconds": self.seconds,
            "progress": self.progress,
            "evaluated": self._evaluated,
            "costs": {name: times[-1][0] for name, times in self._costs.items()},
        }

    def load_state_dict(self, state: dict) -> None:
        """Goes on where a run was; with a larger budget it is less far along its schedule."""
        share = min(state["seconds"] / self.seconds, 1.0)
        self.progress = state["progress"] * share
        self._evaluated = state["evaluated"] * share
        self._expected |= {what: (seconds, math.inf) for what, seconds in state["costs"].items()}
