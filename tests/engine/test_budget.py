"""The schedule of a run with a budget, on clocks that are made up."""

import math
from itertools import count

import pytest

from fcos_d2.engine.budget import Budget, Decision

LOOK = 3.0  # s, to guess what an evaluation takes


class Simulation:
    """A run whose steps, evaluations and checkpoints take what the test says, in s."""

    def __init__(
        self, seconds, step, evaluation=1.0, save=0.2, start=5.0, eval_period=0, first_guess=None
    ):
        self.budget = Budget(seconds, 1000, eval_period)
        self.step = step if callable(step) else lambda time: step
        self.evaluation = evaluation if callable(evaluation) else lambda time: evaluation
        self.save = save
        self.time = start
        self.first_guess, self.guessed = first_guess, []
        if first_guess is not None:
            assert self.budget.must_guess()
            self.budget.expect("evaluation", first_guess)
        self.progress, self.evaluated, self.saved, self.strides = [], [], [], []

    def run(self, until=math.inf, first=1):
        """Steps until the end, or until a time; returns whether it came to the end."""
        self.budget.begin(self.time)
        for done in count(first):
            self.progress.append(self.budget.progress)
            self.time += self.step(self.time)
            decision = self.budget.after_step(self.time, done)
            assert not decision.least, decision
            self.budget.obey(decision)
            self.strides.append(self.budget.stride)
            if decision.progress == 1:
                self.time += self.evaluation(self.time) + self.save + 0.5
                return True
            if decision.evaluate:
                self.evaluated.append(decision.progress)
                self.pause("evaluation", self.evaluation(self.time) + self.save)
            elif decision.save:
                self.pause("save", self.save)
            if self.first_guess is not None and self.budget.must_guess():
                self.time += LOOK
                self.budget.expect("evaluation", self.evaluation(self.time))
                self.budget.pause(LOOK)
                self.guessed.append(self.budget.progress)
            if self.time >= until:
                return False
        return None

    def pause(self, what, seconds):
        self.time += seconds
        self.saved.append(self.time)
        self.budget.paused(what, seconds)

    def kept(self):
        return self.time / self.budget.seconds


def test_constant_steps():
    """1200 s - 5 for the start - 10 * 1.2 for evaluations - 0.7 - 10 saves of 0.2: 1180 steps."""
    run = Simulation(1200, 1.0)
    assert run.run()
    assert run.kept() == pytest.approx(1, abs=0.002)
    assert len(run.progress) == pytest.approx(1180, abs=10)
    expected = [i / len(run.progress) for i in range(len(run.progress))]
    assert run.progress == pytest.approx(expected, abs=0.02)
    assert run.evaluated == pytest.approx([i / 10 for i in range(1, 10)], abs=0.01)
    assert sum(run.strides) == pytest.approx(1000)
    pauses = [after - before for before, after in zip(run.saved, run.saved[1:], strict=False)]
    assert max(pauses) < 66


def test_steps_that_get_three_times_slower():
    """The rest of the curve is passed through in a third of the steps, down to its end."""
    run = Simulation(
        600, lambda time: 0.5 if time < 300 else 1.5, lambda time: 2.0 if time < 300 else 6.0
    )
    assert run.run()
    assert run.kept() == pytest.approx(1, abs=0.01)
    assert run.progress[-1] > 0.98
    assert max(run.strides) < 20


def test_steps_that_get_faster():
    run = Simulation(600, lambda time: 2.0 if time < 300 else 0.5)
    assert run.run()
    assert run.kept() == pytest.approx(1, abs=0.01)
    assert run.progress[-1] > 0.99


def test_slow_first_steps_do_not_count():
    run = Simulation(180, lambda time: 8.0 if time < 6 else 1.0)
    assert run.run()
    assert run.progress[2] < 0.06  # 165 steps fit
    assert run.kept() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("heavy", [5, 20])
def test_every_tenth_step_is_slow(heavy):
    times = count()
    run = Simulation(600, lambda time: 0.5 * (heavy if next(times) % 10 == 0 else 1))
    assert run.run()
    assert run.kept() == pytest.approx(1, abs=0.02)
    assert run.progress[-1] > 0.95


def test_what_is_expected_gets_slower_with_the_steps():
    """No evaluation comes before the end, and the machine is slower by then."""
    run = Simulation(
        600,
        lambda time: 1.0 if time < 200 else 2.0,
        lambda time: 40.0 if time < 200 else 80.0,
        eval_period=10**6,
    )
    run.budget.expect("evaluation", 40.0)
    assert run.run()
    assert run.evaluated == []
    assert run.kept() == pytest.approx(1, abs=0.012)


def test_evaluations_that_are_slow_are_rare():
    """One takes 2.5 % of the budget: of two, one is in the middle."""
    run = Simulation(600, 1.0, evaluation=14.5)
    run.budget.expect("evaluation", 14.5)
    assert run.run()
    assert run.evaluated == pytest.approx([0.5], abs=0.01)
    assert run.kept() == pytest.approx(1, abs=0.01)
    very_slow = Simulation(600, 1.0, evaluation=200.0)
    very_slow.budget.expect("evaluation", 205.0)
    assert very_slow.run()
    assert very_slow.evaluated == []
    assert very_slow.kept() == pytest.approx(1, abs=0.012)


@pytest.mark.parametrize("guess", [20.0, 200.0])
def test_a_wrong_guess_is_mended_half_way(guess):
    """No evaluation comes before the end, and it takes 50 s. After 100 s steps take half of it."""
    run = Simulation(
        600,
        lambda time: 2.0 if time < 100 else 1.0,
        evaluation=50.0,
        first_guess=guess,
        eval_period=10**6,
    )
    assert run.run()
    assert run.guessed == pytest.approx([0.5], abs=0.01)
    assert run.kept() == pytest.approx(1, abs=0.012)


def test_what_was_measured_is_not_guessed():
    run = Simulation(600, 1.0, evaluation=2.0, first_guess=2.0)
    assert run.run()
    assert run.evaluated
    assert not run.guessed


def test_a_rank_that_only_obeys():
    """It sees no step, and its evaluations and checkpoints take time all the same."""
    measured, guessed = Budget(600, 1000), Budget(600, 1000)
    measured.begin(5.0)
    measured.paused("save", 1.0)
    measured.paused("evaluation", 7.0)
    assert (measured.cost("save"), measured.cost("evaluation")) == (1.0, 7.0)
    assert not measured.must_guess()
    guessed.expect("evaluation", 9.0)
    assert not guessed.must_guess()
    guessed.obey(Decision(progress=0.6))
    assert guessed.must_guess()
    guessed.expect("evaluation", 8.0)
    assert not guessed.must_guess() and guessed.cost("evaluation") == 8.0


def test_a_resumed_run_guesses_half_way():
    """Its first life guessed, and evaluated nothing."""
    first = Simulation(600, 1.0, evaluation=50.0, first_guess=25.0, eval_period=10**6)
    assert not first.run(until=200)
    second = Simulation(600, 1.0, 50.0, start=205, eval_period=10**6, first_guess=25.0)
    second.budget.load_state_dict(first.budget.state_dict())
    assert second.run(first=200)
    assert second.guessed == pytest.approx([0.5], abs=0.01)
    assert second.kept() == pytest.approx(1, abs=0.012)


def test_a_period_that_was_given_is_obeyed():
    run = Simulation(300, 1.0, eval_period=50)
    assert run.run()
    steps = [run.progress.index(x) for x in run.evaluated]
    assert steps == [50, 100, 150, 200, 250]
    assert run.kept() == pytest.approx(1, abs=0.01)


def test_a_run_goes_on_in_the_time_that_is_left():
    """Killed after 400 s, some steps after its last checkpoint; both lives together take 600 s."""
    first = Simulation(600, 1.0)
    assert not first.run(until=400)
    state = first.budget.state_dict()
    second = Simulation(600, 1.3, start=400 + 25 + 10)  # lost, and the second start
    second.budget.load_state_dict(state)
    assert second.run(first=401)
    assert second.progress[0] == first.budget.progress
    assert second.progress[-1] > 0.98
    assert second.kept() == pytest.approx(1, abs=0.01)


def test_resumed_with_a_larger_budget():
    first = Simulation(300, 1.0)
    first.run(until=150)
    longer = Budget(600, 1000)
    longer.load_state_dict(first.budget.state_dict())
    assert longer.progress == pytest.approx(first.budget.progress / 2)
    shorter = Budget(200, 1000)
    shorter.load_state_dict(first.budget.state_dict())
    assert shorter.progress == first.budget.progress


def test_the_least_budget():
    """4 s are gone after the first step, and 7 + 0.5 s are to come."""
    budget = Budget(10, 1000)
    budget.expect("evaluation", 7.0)
    budget.begin(3.0)
    assert budget.after_step(4.0, 1).least == pytest.approx(11.5)
    enough = Budget(11.6, 1000)
    enough.expect("evaluation", 7.0)
    enough.begin(3.0)
    decision = enough.after_step(4.0, 1)
    assert (decision.least, decision.progress) == (0, 1)


def test_a_report_at_the_end_gets_its_time():
    run = Simulation(300, 1.0)
    run.budget.announce("report", 30.0)
    assert run.run()
    assert run.kept() == pytest.approx(0.9, abs=0.01)


def test_time_that_goes_all_at_once_ends_in_a_few_annealing_steps():
    """The machine sleeps in the middle of the run; 2 % of 600 s are 12 steps, of which 10 come."""
    run = Simulation(600, lambda time: 400.0 if 299.5 < time < 300.5 else 1.0)
    assert run.run()
    assert run.progress[-1] == pytest.approx(1 - 0.5 / 11, abs=0.02)
    assert max(run.strides) < 60


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_no_time(seconds):
    with pytest.raises(ValueError, match="budget"):
        Budget(seconds, 1000)
