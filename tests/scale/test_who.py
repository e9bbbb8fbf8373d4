"""Which process one is."""

import os
import socket
import subprocess
import sys

from clew.scale.who import lives, me, runs


def test_one_that_has_ended_is_known_by_its_number_and_by_when_it_was_started():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not lives(f"{socket.gethostname()} {ended.pid} 1")
    assert lives(me()) and runs(os.getpid())
    host, process, started = me().split(" ")
    assert not lives(f"{host} {process} {int(started) - 1}")  # the same number, given out again
    assert lives(f"{host} {process}")


def test_one_that_nobody_has_buried_is_dead():
    ended = subprocess.Popen([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE)
    assert ended.stdout is not None and ended.stdout.read()
    who = f"{socket.gethostname()} {ended.pid} 1"
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(who)
    ended.wait()
