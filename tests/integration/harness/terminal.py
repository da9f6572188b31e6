"""A program in a terminal of its own, as a person starts it: lines appear when they are written, Ctrl-C is a key."""
import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import threading

from harness.agent import SANITIZER, SLOW, wait_for


class Terminal:
    def __init__(self, *command, **env):
        self.master, slave = pty.openpty()
        self.output = ""
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={**os.environ, **env},
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        data = b""
        while True:
            try:
                more = os.read(self.master, 4096)
            except OSError:  # nobody has the terminal open any more
                break
            if not more:
                break
            data += more
            self.output = data.decode(errors="replace").replace("\r\n", "\n")
        os.close(self.master)

    def says(self, pattern, after=0):
        """Waits for a line of this pattern behind the first `after` characters; its match."""
        return wait_for(lambda: re.compile(f"^{pattern}$", re.M).search(self.output, after), f"{pattern!r} in:\n{self.output}", 20)

    def ctrl_c(self):
        os.write(self.master, b"\x03")
        return self.ended()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Stops it, as a scheduler or a suspended machine does; returns when every thread stands still."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.ended()

    def ended(self):
        code = self.process.wait(20 * SLOW)
        self.reader.join()
        return code

    def running(self):
        return self.process.poll() is None

    def end(self):
        """Of a test: whatever state it is in."""
        if self.running():
            self.kill()
        self.reader.join()
        assert not SANITIZER.search(self.output), self.output
