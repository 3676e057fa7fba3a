"""What a machine offers."""

from fcos_d2.plan.machine import free_memory, this_machine


def test_this_one():
    machine = this_machine("cpu")
    assert machine.is_cpu and machine.cores >= 1 and machine.memory > 0
    assert "core" in machine.name


def test_the_least_of_machine_and_container_counts(tmp_path):
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    cgroup.mkdir()
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    3000 kB\n")
    assert free_memory(proc, cgroup) == 3000 * 1024
    (cgroup / "memory.max").write_text("2000000\n")
    (cgroup / "memory.current").write_text("500000\n")
    assert free_memory(proc, cgroup) == 1_500_000
    (cgroup / "memory.max").write_text("max\n")
    assert free_memory(proc, cgroup) == 3000 * 1024
    version_1 = cgroup / "memory"
    version_1.mkdir()
    (version_1 / "memory.limit_in_bytes").write_text("1000\n")
    (version_1 / "memory.usage_in_bytes").write_text("1200\n")
    assert free_memory(proc, cgroup) == 0


def test_where_nobody_says(tmp_path):
    assert free_memory(tmp_path, tmp_path) == 4 << 30
