from fcos_deploy.grouping import canvas_size, groups_of_one_canvas


def test_on_paper() -> None:
    sizes = [(33, 64), (64, 33), (40, 50), (64, 64), (65, 64)]

    # To multiples of 32: 64 x 64 but for the last, 96 x 64.
    assert groups_of_one_canvas(sizes, 32) == [[0, 1, 2, 3], [4]]
    assert groups_of_one_canvas(sizes, 1) == [[0], [1], [2], [3], [4]]
    assert groups_of_one_canvas([(5, 9), (9, 5), (5, 9)], 0) == [[0, 2], [1]]
    assert groups_of_one_canvas([], 32) == []
    assert canvas_size((1, 33), 32) == (32, 64)
