"""Runs one command and says what it took, as JSON on a file descriptor: ``launch.py <fd> <command> ...``.

A process's peak memory includes that of the process it was made from until it runs its own program, so what is measured is
made from this small one. It imports what every interpreter has loaded anyway.
"""

import os
import sys
import time

report, command = int(sys.argv[1]), sys.argv[2:]
os.set_inheritable(report, False)
start = time.perf_counter()
pid = os.posix_spawnp(command[0], command, os.environ)
_, status, used = os.wait4(pid, 0)
seconds = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
figures = f'{{"code": {code}, "seconds": {seconds}, "cpu": {used.ru_utime + used.ru_stime}, "mib": {used.ru_maxrss / 1024}}}'
os.write(report, figures.encode())
