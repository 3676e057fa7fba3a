from fcos_d2.benchmark import timing


def test_turns_alternate_and_leave_out_the_warm_up():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.time_in_turns(functions, warmup=1, repeats=2)
    assert "".join(calls) == "ababab"
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}


def test_spread_is_the_middle_half():
    assert timing.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)
    assert timing.spread([7.0]) == (7.0, 7.0)
