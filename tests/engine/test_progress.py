import os
import signal
import subprocess
import sys
import time

import torch.utils.data

from fcos_d2.engine import progress
from fcos_d2.engine.progress import OwnNote, after, is_stopped, read_notes
from fcos_deploy.writing import is_running


def test_a_note_as_others_read_it(tmp_path):
    own = OwnNote(str(tmp_path / "ranks"), 11, iteration=-1)
    (note,) = read_notes(str(tmp_path / "ranks")).values()
    assert (note.iteration, note.ticks, note.pid) == (-1, 1, os.getpid())
    assert note.doing == "between two iterations" and note.is_here and not note.takes_its_time
    assert after(note) == " in its first iteration" and after(None) == ""
    own.finish(2**40)
    own.tick()
    note = read_notes(str(tmp_path / "ranks"))[11]
    assert (note.ticks, after(note)) == (2, f" after iteration {2**40}")
    own.remove()
    assert own.read() == note
    assert not any(tmp_path.iterdir())


def test_half_a_note_is_none(tmp_path):
    (tmp_path / "rank_0").write_bytes(b"12345678")
    (tmp_path / "rank_x").write_bytes(bytes(1000))
    assert read_notes(str(tmp_path)) == {}
    assert read_notes(str(tmp_path / "absent")) == {}


def test_what_the_main_thread_is_doing(tmp_path):
    """Looked at from within the reading of an image."""
    own, seen = OwnNote(str(tmp_path), 0, iteration=3), []

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            own.tick()
            seen.append(read_notes(str(tmp_path))[0])
            return index

    list(torch.utils.data.DataLoader(Images()))
    assert seen[0].doing == "reading images" and not seen[0].takes_its_time


def test_the_phases_are_where_the_code_is():
    """A function that is renamed would no longer be recognised."""
    from detectron2.engine.hooks import EvalHook
    from fvcore.nn.precise_bn import update_bn_stats
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    from fcos_d2.checkpoint import FCOSCheckpointer
    from fcos_d2.engine.step import StepTrainer

    functions = (
        FCOSCheckpointer.save,
        EvalHook._do_eval,
        update_bn_stats,
        _BaseDataLoaderIter.__next__,
        StepTrainer.run_step,
    )
    for function, (part, name, *_) in zip(functions, progress._PHASES, strict=True):
        code = getattr(function, "__wrapped__", function).__code__
        assert part in code.co_filename and code.co_name == name


def test_processes_that_run_are_stopped_or_gone(tmp_path):
    # Alone, because torch takes its time; behind the standard library, which has a `numbers`, too.
    script = f"import sys; sys.path.append({os.path.dirname(progress.__file__)!r}); "
    script += "from progress import OwnNote; OwnNote(sys.argv[1], 0, 1); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    note = read_notes(str(tmp_path))[0]
    assert is_running(note.pid) and not is_stopped(note)
    child.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 20
    while not is_stopped(note) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_running(note.pid) and is_stopped(note)
    progress.end(note)
    child.communicate()
    assert not is_running(note.pid) and not is_stopped(note)
