"""Freed memory of tensors, either kept or returned to the system: time of scoring's forward pass on large images, in separate processes.

    OMP_NUM_THREADS=1 python benchmarks/malloc.py [--repeats 5] [--tiny]

Both sides run alternately (A B A B …) on the same pixels. The script shows wall, user and system seconds of the pass, peak memory, and whether
the logits are the same bit for bit. `--tiny`: see train.py.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time

from score import bare_forward  # the modules beside this one
from train import asked, run_context

from spurcli.runtime.malloc import keep_freed_memory
from spurcli.session import configure

NUM_SAMPLES, SHAPE = 768, (112, 112, 3)


def one_pass(num_samples: int) -> dict[str, float | str]:
    context = run_context(configure(recipe="waterbirds-cpu"), num_samples, SHAPE)
    model, feed = context.model(0), context.feed(context.dataset.splits["train"].inputs)
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    logits = bare_forward(context, feed, model, context.settings.scoring.batch_size, num_samples)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall": time.perf_counter() - start,
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
        "MiB": after.ru_maxrss / 1024,
        "logits": hashlib.sha256(logits.numpy().tobytes()).hexdigest(),
    }


def main() -> None:
    if sys.argv[1:2] == ["--pass"]:
        if sys.argv[2] == "kept":
            assert keep_freed_memory(), "needs glibc, and no MALLOC_… or GLIBC_TUNABLES in the environment"
        print(json.dumps(one_pass(int(sys.argv[3]))))
        return
    repeats, tiny = asked(__doc__ or "")
    num_samples = 2 if tiny else NUM_SAMPLES
    found: dict[str, list[dict[str, float | str]]] = {"given back": [], "kept": []}
    for _ in range(repeats):
        for side, passes in found.items():
            command = [sys.executable, __file__, "--pass", side, str(num_samples)]
            passes.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    for side, passes in found.items():
        middle = {
            key: statistics.median(float(each[key]) for each in passes) for key in ("wall", "user", "system", "MiB")
        }
        print(f"{side:11}" + "".join(f"{key} {value:8.1f}  " for key, value in middle.items()))
    pairs = zip(found["given back"], found["kept"], strict=True)
    print(f"wall, given back to kept: {statistics.median(float(a['wall']) / float(b['wall']) for a, b in pairs):.2f}")
    print("same logits:", len({each["logits"] for passes in found.values() for each in passes}) == 1)


if __name__ == "__main__":
    main()
