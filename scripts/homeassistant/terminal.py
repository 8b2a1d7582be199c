"""A command on a terminal of its own, answered as a person would."""

import asyncio
import os
import subprocess


class Terminal:
    def __init__(self, command, folder):
        self.own, theirs = os.openpty()
        self.process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.text, self.read_to = "", 0
        os.set_blocking(self.own, False)

    def read(self):
        try:
            while data := os.read(self.own, 65536):
                self.text += data.decode(errors="replace")
        except BlockingIOError:
            pass
        except OSError:
            # The other end is closed.
            pass

    async def expect(self, text, seconds=150):
        """Waits until `text` is printed after what was waited for before."""
        for _ in range(seconds * 10):
            self.read()
            at = self.text.find(text, self.read_to)
            if at >= 0:
                self.read_to = at + len(text)
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"no `{text}` within {seconds} s: {self.text}")

    async def answer(self, question, answer):
        await self.expect(question)
        os.write(self.own, (answer + "\n").encode())

    async def end(self, seconds=60):
        """Waits for the end of the command, and returns its exit code."""
        for _ in range(seconds * 10):
            self.read()
            if self.process.poll() is not None:
                self.read()
                os.close(self.own)
                return self.process.returncode
            await asyncio.sleep(0.1)
        raise AssertionError(f"no end: {self.text}")
