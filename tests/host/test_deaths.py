"""How a process ended, and whether it was for lack of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.host.deaths import End, end_of, memory_kills_count


@pytest.mark.parametrize(
    ("status", "kills", "end"),
    [
        (3, (0, 1), End("with status 3", is_of_memory=False)),
        (-11, (0, 1), End("by SIGSEGV", is_of_memory=False)),
        (-9, (4, 4), End("by SIGKILL", is_of_memory=False)),
        (-9, (None, 1), End("by SIGKILL", is_of_memory=False)),
        (-9, (4, 5), End("by SIGKILL of the kernel, for memory ran out", is_of_memory=True)),
    ],
)
def test_a_death_for_lack_of_memory_is_told_from_others(
    status: int, kills: tuple[int | None, int | None], end: End
) -> None:
    assert end_of(status, kills) == end


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events": "oom 9\noom_kill 2\n"}, 2),
        ({"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/memory.events": "oom_kill 4\n"}, 4),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n4:memory:/a\n0::/\n",
                "sys/fs/cgroup/memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
                "proc/vmstat": "oom_kill 99\n",
            },
            5,
        ),
        ({"proc/self/cgroup": "4:memory:/a\n", "proc/vmstat": "pgfault 1\noom_kill 6\n"}, 6),
        ({"proc/self/cgroup": "nonsense\n", "proc/vmstat": "oom_kill many\n"}, None),
        ({}, None),
    ],
)
def test_the_kernels_count_of_kills_is_read_where_it_is_told(
    tmp_path: Path, files: dict[str, str], count: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_kills_count(tmp_path) == count
