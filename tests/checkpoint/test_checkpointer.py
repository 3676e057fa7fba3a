import logging
import os
import resource

import numpy as np
import pytest
import torch
from iopath.common.file_io import PathHandler
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer, checkpointer
from fcos_d2.checkpoint.contents import split_weights
from fcos_deploy.writing import describe


def test_class_names_come_back(tmp_path):
    FCOSCheckpointer(nn.Linear(2, 2), str(tmp_path), class_names=["cat", "dog"]).save("model")
    loaded = FCOSCheckpointer(nn.Linear(2, 2)).load(str(tmp_path / "model.pth"))
    assert loaded["class_names"] == ["cat", "dog"]


def test_weights_and_states_come_back(tmp_path):
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    FCOSCheckpointer(model, str(tmp_path), optimizer=optimizer).save("model", iteration=7)
    other_optimizer = torch.optim.AdamW(other.parameters(), lr=0.1)
    checkpointer = FCOSCheckpointer(other, str(tmp_path), optimizer=other_optimizer)
    loaded = checkpointer.resume_or_load("", resume=True)
    assert loaded["iteration"] == 7
    assert other_optimizer.param_groups[0]["lr"] == 0.5
    torch.testing.assert_close(other.state_dict(), model.state_dict())


def test_failed_save_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    model = nn.Linear(2, 2)
    checkpointer = FCOSCheckpointer(model, str(tmp_path))
    checkpointer.save("model")
    before = (tmp_path / "model.pth").read_bytes()

    def half_written(data, path):
        with open(path, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save("model")
    assert (tmp_path / "model.pth").read_bytes() == before
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model.pth")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last_checkpoint", "model.pth"]


def test_absent_file_is_named():
    with pytest.raises(ValueError, match="nowhere.pth: no such checkpoint"):
        FCOSCheckpointer(nn.Linear(2, 2)).load("nowhere.pth")


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="model.pth: damaged, or not a checkpoint"):
        FCOSCheckpointer(nn.Linear(2, 2)).load(str(path))


def test_unreachable_host_is_named(monkeypatch):
    def refuse(url):
        raise OSError("no route to host")

    monkeypatch.setattr(checkpointer, "local_copy", refuse)
    with pytest.raises(ValueError, match="https://host/a.pth: cannot be fetched .no route to host"):
        FCOSCheckpointer(nn.Linear(2, 2)).load("https://host/a.pth")


def test_other_schemes_belong_to_the_handlers_of_detectron2(tmp_path):
    class Handler(PathHandler):
        def _get_supported_prefixes(self) -> list[str]:
            return ["bucket://"]

        def _get_local_path(self, path: str, **kwargs: object) -> str:
            return str(tmp_path / path.removeprefix("bucket://"))

    FCOSCheckpointer(nn.Linear(2, 2), str(tmp_path)).save("model")
    loader = FCOSCheckpointer(nn.Linear(2, 2))
    loader.path_manager.register_handler(Handler(), allow_override=True)
    loader.load("bucket://model.pth")
    assert loader.report.complete


def run_folder(folder, iterations=(9, 19, 29)) -> FCOSCheckpointer:
    """Checkpoints of a run; the only weight of each is its iteration."""
    model = nn.Linear(1, 1, bias=False)
    writer = FCOSCheckpointer(model, str(folder))
    for iteration in iterations:
        nn.init.constant_(model.weight, iteration)
        writer.save(f"model_{iteration:07d}", iteration=iteration)
        os.utime(folder / f"model_{iteration:07d}.pth", (iteration, iteration))
    nn.init.constant_(model.weight, 1000)
    writer.save("model_best", tag=False)  # not a state to go on from
    return FCOSCheckpointer(nn.Linear(1, 1, bias=False), str(folder))


@pytest.mark.parametrize(
    ("damage", "expected", "as_marked"),
    [
        (lambda folder: None, 29, True),
        (lambda folder: cut(folder / "model_0000029.pth"), 19, False),
        (lambda folder: (folder / "model_0000029.pth").write_bytes(b""), 19, False),
        (lambda folder: (folder / "model_0000029.pth").unlink(), 19, False),
        (lambda folder: (folder / "last_checkpoint").unlink(), 29, False),
        (lambda folder: (folder / "last_checkpoint").write_text(""), 29, False),
        (
            lambda folder: (folder / "last_checkpoint").write_text("../../model_0000009.pth"),
            9,
            True,
        ),
        (lambda folder: (folder / "last_checkpoint").write_text("model_0000009.pth"), 9, True),
        (lambda folder: [cut(folder / f"model_00000{i}9.pth") for i in (1, 2)], 9, False),
    ],
)
def test_resuming_takes_the_newest_checkpoint_that_is_whole(
    tmp_path, caplog, damage, expected, as_marked
):
    checkpointer = run_folder(tmp_path)
    damage(tmp_path)
    assert checkpointer.has_checkpoint()
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == expected
    assert checkpointer.model.weight.item() == expected
    said = any(record.levelno >= logging.WARNING for record in caplog.records)
    assert said is not as_marked


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def test_no_whole_checkpoint(tmp_path):
    checkpointer = run_folder(tmp_path)
    for path in tmp_path.glob("*.pth"):
        cut(path)
    with pytest.raises(ValueError, match="none of the 3 checkpoints in .* is whole"):
        checkpointer.resume_or_load("", resume=True)


def test_weights_that_no_layer_takes(tmp_path):
    weight = torch.ones(2, 2)
    quantised = torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)
    for value, message in (
        (weight.to_sparse(), "weight is a sparse tensor.*to_dense"),
        (weight.to_sparse_csr(), "weight is a sparse tensor.*to_dense"),
        (quantised, "weight is a quantised tensor"),
        (weight.to("meta"), "weight is a meta tensor"),
    ):
        with pytest.raises(ValueError, match=f"a.pth: {message}"):
            split_weights({"model": {"weight": value}}, "a.pth")
    with pytest.raises(ValueError, match="a.pth: its weights have no names: 3 is no text"):
        split_weights({3: weight}, "a.pth")
    with pytest.raises(ValueError, match="a.pth: weight is no tensor"):
        split_weights({"weight": np.array(["a"])}, "a.pth")


def test_a_full_disk_is_one_line(tmp_path):
    """The system stops the writing after 100 kB; the checkpoint before it stays."""
    model = nn.Linear(200, 200)
    checkpointer = FCOSCheckpointer(model, str(tmp_path))
    checkpointer.save("model_0000001")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            checkpointer.save("model_0000002")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert describe(caught.value).startswith(f"{tmp_path}/model_0000002.pth: ")
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0000001.pth")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last_checkpoint", "model_0000001.pth"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("averaged", [False, True])
def test_weights_that_are_not_finite_are_refused(tmp_path, bad, averaged):
    """Those that are in training as well, beside a good mean."""
    model, mean = nn.Linear(2, 2), nn.Linear(2, 2)
    nn.init.constant_(model.bias, bad)
    saved = FCOSCheckpointer(model, str(tmp_path), averaged_model=mean if averaged else None)
    saved.save("model")
    with pytest.raises(ValueError, match=r"model.pth: NaN or infinity in 1 of 2 tensors \(bias\)"):
        FCOSCheckpointer(nn.Linear(2, 2)).load(str(tmp_path / "model.pth"))


def test_a_run_goes_on_from_the_checkpoint_before_one_with_nan(tmp_path, caplog):
    for iteration, weight in ((1, 1.0), (2, float("nan"))):
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, weight)
        saved = FCOSCheckpointer(model, str(tmp_path))
        saved.save(f"model_000000{iteration}", iteration=iteration)
        os.utime(tmp_path / f"model_000000{iteration}.pth", (iteration, iteration))
    resumed = nn.Linear(1, 1, bias=False)
    rest = FCOSCheckpointer(resumed, str(tmp_path)).resume_or_load("")
    assert (rest["iteration"], resumed.weight.item()) == (1, 1.0)
    assert "model_0000002.pth: NaN or infinity in 1 of 1 tensors (weight)" in caplog.text
