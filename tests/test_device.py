"""Where to compute, and in which precision."""

import pytest
import torch

from fcos_d2.device import check_precision, resolve_device


def test_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("cuda") == "cpu"
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("cuda") == "cuda"
    assert resolve_device("cuda", num_gpus=0) == "cpu"


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "cpu:9:9"])
def test_what_is_no_device_is_named(asked):
    with pytest.raises(ValueError, match=f"`device` '{asked}' cannot be used"):
        resolve_device(asked)


def test_precisions_of_training():
    check_precision(None, "cpu")
    check_precision("bf16", "cpu")
    check_precision("fp16", "cuda")
    with pytest.raises(ValueError, match="`precision` must be one of .*got 'int4'"):
        check_precision("int4", "cuda")
    with pytest.raises(ValueError, match="needs a CUDA device; on the CPU, `precision` must be"):
        check_precision("fp16", "cpu")
