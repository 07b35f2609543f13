"""The supervisor with real processes: what dies comes back, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.peer_process import wait_until

HOUSE = """
import sys
from pathlib import Path
from firmware.supervisor import Child, Supervisor
import firmware.supervisor as supervisor
data = Path(sys.argv[1])
children = [Child("sleeper", ["status"]), Child("other", ["status"])]
real = supervisor.subprocess.Popen
def popen(command, **kwargs):
    return real([sys.executable, "-c", "import time; time.sleep(300)"], **kwargs)
supervisor.subprocess.Popen = popen
Supervisor(data, children, lambda text: print(text, flush=True)).run(lambda: print("ready", flush=True))
"""


def start(data: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOUSE, str(data)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def pid(data: Path, name: str = "sleeper") -> int:
    return int((data / "run" / f"{name}.pid").read_text())


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_child_that_is_killed_comes_back_and_its_neighbour_is_untouched(tmp_path: Path) -> None:
    house = start(tmp_path)
    try:
        first, neighbour = pid(tmp_path), pid(tmp_path, "other")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: pid(tmp_path) != first and alive(pid(tmp_path)), 10, "the child to be back")
        assert pid(tmp_path, "other") == neighbour
        assert alive(neighbour)
    finally:
        house.terminate()
        told, _ = house.communicate(timeout=20)
    assert "killed by SIGKILL" in told
    assert "sleeper.log" in told


def test_sigterm_ends_every_child_and_leaves_no_pid_file(tmp_path: Path) -> None:
    house = start(tmp_path)
    children = [pid(tmp_path), pid(tmp_path, "other")]
    house.terminate()
    house.communicate(timeout=20)
    assert house.returncode == 0
    assert not any(alive(child) for child in children)
    assert list((tmp_path / "run").glob("*.pid")) == []


def test_even_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    house = start(tmp_path)
    children = [pid(tmp_path), pid(tmp_path, "other")]
    house.kill()
    house.communicate(timeout=20)
    wait_until(lambda: not any(alive(child) for child in children), 10, "the children to follow")


def test_a_child_that_dies_at_once_is_restarted_ever_more_slowly(tmp_path: Path) -> None:
    program = HOUSE.replace("import time; time.sleep(300)", "raise SystemExit(3)")
    house = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    time.sleep(3)
    house.terminate()
    told, _ = house.communicate(timeout=20)
    restarts = told.count("sleeper ended (exit code 3)")
    assert 2 <= restarts <= 8, told


def test_two_supervisors_do_not_share_a_data_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firmware", "run", "--data", str(tmp_path), "--page", "127.0.0.1:18098"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until((tmp_path / "run" / "supervisor.pid").exists, 20, "the first to stand")
        # `python -m firmware` is the allobox command under another name in /proc.
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == 1
        assert "already keeps" in second.stderr
    finally:
        first.terminate()
        first.wait(20)


@pytest.mark.parametrize("page", ["nonsense", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", ":8080"])
def test_a_page_address_that_is_none_is_wrong_usage(page: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "run", "--page", page],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr


CLEANED = """
import sys
from pathlib import Path
import firmware.supervisor as supervisor
from firmware.supervisor import Child, Supervisor
supervisor._CLEAN_SECONDS = 1.0
data = Path(sys.argv[1])
children = [Child("sleeper", ["sleeper"], after=["cleaner", str(data)])]
Supervisor(data, children, lambda text: print(text, flush=True)).run(lambda: print("ready", flush=True))
"""
# What cleans up after the process, and takes its time.
CLEANER = (
    "import sys, time\nnotes = sys.argv[1] + '/notes'\n"
    "open(notes, 'a').write('clean\\n')\ntime.sleep(SECONDS)\nopen(notes, 'a').write('cleaned\\n')\n"
)


def cleaned_house(data: Path, seconds: float) -> subprocess.Popen[str]:
    """A supervisor whose `python -m firmware` notes its starts in DIR/notes, as the cleaner does its work."""
    modules = data / "modules"
    (modules / "firmware").mkdir(parents=True)
    root = Path(__file__).resolve().parents[1]
    (modules / "cleaner.py").write_text(CLEANER.replace("SECONDS", str(seconds)))
    # The real supervisor, and a `__main__` of ours.
    (modules / "firmware" / "__init__.py").write_text(f"__path__.append({str(root / 'firmware')!r})\n")
    (modules / "firmware" / "__main__.py").write_text(
        f"import time\nopen({str(data / 'notes')!r}, 'a').write('start\\n')\ntime.sleep(300)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", CLEANED, str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=modules,
        env={**os.environ, "PYTHONPATH": str(modules)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def notes(data: Path) -> list[str]:
    path = data / "notes"
    return path.read_text().split() if path.exists() else []


def test_what_a_killed_process_left_behind_is_cleaned_up_before_it_comes_back(tmp_path: Path) -> None:
    house = cleaned_house(tmp_path, 0.5)
    try:
        wait_until(lambda: notes(tmp_path) == ["start"], 10, "the child to run")
        os.kill(pid(tmp_path), signal.SIGKILL)
        wait_until(lambda: len(notes(tmp_path)) == 4, 20, "the child to be back")
        assert notes(tmp_path) == ["start", "clean", "cleaned", "start"]
    finally:
        house.terminate()
        house.communicate(timeout=20)
    assert notes(tmp_path)[4:] == ["clean", "cleaned"]  # a sleeper that SIGTERM ends has ended badly


def test_a_clean_up_that_never_ends_keeps_nobody_from_coming_back(tmp_path: Path) -> None:
    house = cleaned_house(tmp_path, 300)
    try:
        wait_until(lambda: notes(tmp_path) == ["start"], 10, "the child to run")
        os.kill(pid(tmp_path), signal.SIGKILL)
        wait_until(lambda: notes(tmp_path) == ["start", "clean", "start"], 20, "the child to be back")
    finally:
        house.terminate()
        told, _ = house.communicate(timeout=30)
    assert "cleaner" in told
    assert "killed by SIGKILL" in told


WATCHED = """
import sys
from pathlib import Path
import firmware.supervisor as supervisor
from firmware.supervisor import Child, Supervisor
supervisor._WATCH_SECONDS = supervisor._ABORT_SECONDS = 1.0
children = [Child("sleeper", ["sleeper"], watched=True)]
Supervisor(Path(sys.argv[1]), children, lambda text: print(text, flush=True)).run(lambda: print("ready", flush=True))
"""
# Speaks for a second, by the words that it was started with, then hangs; "deaf" does not even hear SIGABRT.
HANGS = """
import os, signal, socket, time
if MANNER == "deaf":
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
open(NOTES, "a").write("start ")
assert os.environ["WATCHDOG_USEC"] == "1000000"
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(0 if MANNER == "mute" else 10):
    end.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(0.1)
time.sleep(300)
"""


def watched_house(data: Path, manner: str) -> subprocess.Popen[str]:
    """A supervisor whose `python -m firmware` hangs as told."""
    folder = data / "modules" / "firmware"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f"__path__.append({str(Path(__file__).resolve().parents[1] / 'firmware')!r})\n")
    (folder / "__main__.py").write_text(
        HANGS.replace("NOTES", repr(str(data / "notes"))).replace("MANNER", repr(manner))
    )
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("manner", "end"), [("", "SIGABRT"), ("deaf", "SIGKILL")])
def test_a_process_that_falls_silent_is_ended_and_comes_back(tmp_path: Path, manner: str, end: str) -> None:
    house = watched_house(tmp_path, manner)
    try:
        wait_until(lambda: len(notes(tmp_path)) == 2, 20, "the silent one to come back")
    finally:
        house.terminate()
        told, _ = house.communicate(timeout=30)
    assert "it hangs, and is ended" in told
    assert f"killed by {end}" in told
    assert not (tmp_path / "run" / "sleeper.notify").exists()


def test_a_process_that_never_spoke_is_not_taken_for_one_that_fell_silent(tmp_path: Path) -> None:
    house = watched_house(tmp_path, "mute")
    first = pid(tmp_path)
    time.sleep(2.5)
    assert alive(first)
    house.terminate()
    house.communicate(timeout=30)
    assert notes(tmp_path) == ["start"]
