"""The processes of one app, for tests that start and kill them."""
import os
import pathlib
import signal
import subprocess
import time

import client


class Federation:
    """The app's processes."""

    def __init__(self, app, workers, log):
        self.app, self.workers, self.log = app, workers, log
        self.process = None
        self.host = None

    def launch(self):
        (self.app.directory / "host/host.json").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [pathlib.Path(os.environ["PARANOID_BIN"]) / "paranoid", "up", "--app",
             self.app.directory, "--workers", str(self.workers), "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def start(self):
        """Launched, and each worker answers. How long it took."""
        begun = time.monotonic()
        self.launch()
        if not client.wait_ready(self.app, self.process.pid):
            raise SystemExit("federation: the app does not come up")
        self.host = self.app.host()
        return time.monotonic() - begun

    def family(self):
        parents = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(path.parent.name)] = int(path.read_text().rsplit(") ", 1)[1].split()[1])
            except OSError:
                pass
        family = [self.process.pid]
        for pid in family:
            family += [child for child, parent in parents.items() if parent == pid]
        return family

    def kill(self, order):
        """All at once, in an order that is not always the same."""
        self.host = None
        family = self.family()
        order.shuffle(family)
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # followed its host
        self.process.wait()
        if not client.wait_until(lambda: not any(map(client.is_running, family))):
            raise SystemExit("federation: a process outlived kill -9")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(client.READY_S)
