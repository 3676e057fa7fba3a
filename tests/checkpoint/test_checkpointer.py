import pytest
import torch
from torch import nn

from fcos_d2.checkpoint import FCOSCheckpointer


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
    checkpointer = FCOSCheckpointer(nn.Linear(2, 2))

    def refuse(path):
        raise OSError("no route to host")

    monkeypatch.setattr(checkpointer.path_manager, "get_local_path", refuse)
    with pytest.raises(ValueError, match="https://host/a.pth: cannot be fetched .no route to host"):
        checkpointer.load("https://host/a.pth")
