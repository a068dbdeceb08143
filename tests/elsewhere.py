"""Run the tests as other machines would: other instruction sets, thread counts, kernels, load.

    python -m tests.elsewhere              all conditions, some 15 minutes on two cores
    python -m tests.elsewhere avx2 busy    only these
    python -m tests.elsewhere --list

No result may hang on how a library rounds or on how busy the machine is. Where numbers are computed
in another way, what computes with floats is run; where both cores are taken for the whole time,
everything that starts processes or asks for verdicts is. What this machine cannot play is skipped
by name; if nothing could be played, that is an error.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).parent
CAPABILITY = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
SPIN = "while True: pass"

FLOATS = (
    *("core_*", "fixture", "goldens*", "graphs", "hybrid_model", "margins", "oracle_*"),
    *(
        "methods",
        "properties_*",
        "reduction_corners",
        "schedule",
        "syncs_catalogue",
        "syncs_hybrid",
        "syncs_llava",
    ),
    *("fake_cuda", "cost_memory", "demo"),
)
PROCESSES = (
    *("bisect", "calibrate", "gate_command", "gatecheck_*", "gates_*", "gpucheck", "history*"),
    *("interrupted", "progress", "runs*", "sweep*", "syncs_*", "timing_*", "usage"),
)


@dataclass(frozen=True)
class Condition:
    """What is different.

    Attributes:
        tests: patterns of file names, without `test_` and `.py`.
        environment: variables that are set.
        plugins: that pytest loads.
        capability: the instruction set that torch must say it uses, else this is not played.
        spinning: processes beside, one for each core.
    """

    tests: Sequence[str] = FLOATS
    environment: Mapping[str, str] = field(default_factory=dict)
    plugins: Sequence[str] = ()
    capability: str | None = None
    spinning: bool = False

    @property
    def files(self) -> list[str]:
        """Those that the patterns name, each once."""
        found = {path for name in self.tests for path in TESTS.glob(f"test_{name}.py")}
        return sorted(map(str, found))


CONDITIONS: Mapping[str, Condition] = {
    **{
        name: Condition(
            environment={"ATEN_CPU_CAPABILITY": name, "ONEDNN_MAX_CPU_ISA": dnn, "MKL_CBWR": mkl},
            capability=name,
        )
        for name, dnn, mkl in (  # PyTorch's own kernels, oneDNN's and MKL's
            ("default", "SSE41", "COMPATIBLE"),
            ("avx2", "AVX2", "AVX2"),
            ("avx512", "AVX512_CORE", "AVX512"),
        )
    },
    **{
        f"threads-{count}": Condition(environment={"OMP_NUM_THREADS": str(count)})
        for count in (1, 2, 4)
    },
    "without-onednn": Condition(plugins=("tests.without_onednn",)),
    "busy": Condition(tests=PROCESSES, spinning=True),
}


def missing(condition: Condition) -> str | None:
    """Why this machine cannot play it, or None."""
    if condition.capability is None:
        return None
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CAPABILITY],
        env=os.environ | condition.environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    has = asked.stdout.strip()
    if has == condition.capability or (has, condition.capability) == ("no avx", "default"):
        return None
    return f"this machine has {has} at most"


@contextmanager
def every_core_taken(taken: bool) -> Iterator[None]:
    """One process for each core that does nothing but take it."""
    count = os.cpu_count() or 1 if taken else 0
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def play(condition: Condition) -> bool:
    """Whether the tests are green under it; pytest says what it ran."""
    command = [sys.executable, "-m", "pytest", "-q", *condition.files]
    for plugin in condition.plugins:
        command += ["-p", plugin]
    with every_core_taken(condition.spinning):
        ran = subprocess.run(command, env=os.environ | condition.environment, check=False)
    return ran.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """0 if all that could be played is green, 1 if one is red, 2 if none was played."""
    if "--list" in arguments:
        print("\n".join(CONDITIONS))
        return 0
    if unknown := [name for name in arguments if name not in CONDITIONS]:
        print(f"no {', '.join(unknown)}: choose from {', '.join(CONDITIONS)}", file=sys.stderr)
        return 2
    seen: dict[str, str] = {}
    for name in arguments or CONDITIONS:
        condition, started = CONDITIONS[name], time.monotonic()
        if (reason := missing(condition)) is not None:
            seen[name] = f"skipped: {reason}"
            continue
        print(f"\n{name}", flush=True)
        seen[name] = "passed" if play(condition) else "FAILED"
        seen[name] += f" in {time.monotonic() - started:.0f} s"
    print("\n" + "\n".join(f"{name:<16}{outcome}" for name, outcome in seen.items()))
    if any(outcome.startswith("FAILED") for outcome in seen.values()):
        return 1
    return 0 if any(outcome.startswith("passed") for outcome in seen.values()) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
