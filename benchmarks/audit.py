"""The numbers of the leak audit: `python benchmarks/audit.py [--bars N]`.

Seconds of CPU for an audit of each preset with five cuts and twenty live bars, against computing the preset's
features once on the same bars, both in the same run. An audit computes them once, too: that is in its
seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pandas as pd

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.features import HOUR, bars
from services.features import engine
from services.features.audit import CUTS_DEFAULT, LIVE_DEFAULT, AuditSummary, audit, chosen
from services.features.columns import Columns
from services.features.config import FeatureConfig
from services.features.plan import Plan, plan
from services.features.presets import PRESETS


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--bars", type=int, default=20_000)
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    frame = bars(given.bars)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "pandas"))
    print(f"{len(frame):,} hourly bars, medians of {given.repeats}, CPU seconds, one thread; {libraries}\n")
    print(f"{'config':14} {'features':>8} {'once':>8} {'audit':>8} {'ratio':>7} {'offenders':>9}")
    configs = {"default": FeatureConfig(), **{name: preset.config for name, preset in PRESETS.items()}}
    for name, config in configs.items():
        planned = plan(config, Columns(frame, HOUR), 0)
        offenders = audited(planned, frame, given.repeats)  # and the kernels are loaded
        ours, peer = [], []
        for seed in range(given.repeats):
            started = time.process_time()
            once(planned, frame)
            peer.append(time.process_time() - started)
            started = time.process_time()
            offenders = max(offenders, audited(planned, frame, seed))
            ours.append(time.process_time() - started)
        own, other = statistics.median(ours), statistics.median(peer)
        print(f"{name:14} {len(planned.names):8,} {other:8.3f} {own:8.3f} {own / other:6.2f}× {offenders:9}")


def once(planned: Plan, frame: pd.DataFrame) -> None:
    """Compute the features at every bar."""
    for _ in engine.compute(planned, Columns(frame, HOUR), time.monotonic):
        pass


def audited(planned: Plan, frame: pd.DataFrame, seed: int) -> int:
    """Audit them; how many offenders there are."""
    choices = chosen(len(frame), planned.warm_up_bars, CUTS_DEFAULT, LIVE_DEFAULT, seed)
    *_, summary = audit(planned, Columns(frame, HOUR), frame, choices, lambda: None, time.monotonic)
    assert isinstance(summary, AuditSummary)
    return summary.offender_count


if __name__ == "__main__":
    main()
