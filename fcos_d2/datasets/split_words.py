"""The words of people and tools for the three parts of a dataset."""

import re

SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


def split_called(name: str) -> str | None:
    """The split that a folder such as `Train` or `val2017` is called after; None for none."""
    splits = splits_called(name)
    return splits.pop() if len(splits) == 1 else None


def splits_called(name: str) -> set[str]:
    """The splits that a name has words for; COCO's `test-dev` is a test set."""
    words = [word.lower() for word in re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]
    known = {word: SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    if "test" in known:
        known.pop("dev", None)
    return {*known.values()}
