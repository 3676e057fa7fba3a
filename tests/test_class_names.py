from fcos_d2.class_names import difference, listed, only_in, positions


def test_positions_are_those_of_the_same_name():
    assert positions(["cat", "dog", "cow"], ["dog", "bird", "cat"]) == [2, 0, -1]
    assert only_in(["cat", "dog", "cow"], ["dog", "bird", "cat"]) == ["cow"]


def test_classes_of_one_name_keep_their_order():
    """Some datasets have two classes "bow"; the second is another class than the first."""
    assert positions(["bow", "a", "bow"], ["bow", "bow", "a"]) == [0, 2, 1]
    assert only_in(["bow", "bow"], ["bow"]) == ["bow"]


def test_difference_in_words():
    assert difference(["cat", "dog"], ("cat", "dog")) == ""
    assert difference(["cat", "dog"], ["cat", "dog", "bird"]) == "new: bird"
    assert difference(["cat", "dog"], ["dog"]) == "gone: cat"
    assert difference(["cat", "dog"], ["Cat", "dog"]) == "new: Cat; gone: cat"
    assert (
        difference(["cat", "dog"], ["dog", "cat"]) == "in another order: cat, dog became dog, cat"
    )


def test_long_lists_are_cut():
    assert listed(list("abcdefgh")) == "a, b, c, d, e, f, g, h"
    assert listed(list("abcdefghij")) == "a, b, c, d, e, f, g, h and 2 more"
