#!/usr/bin/env python3
"""Plays three new users in fresh Debian 13 systems, from the package to the first reading at their broker, and prints the seconds and the
number of things that they typed. Called by first-minutes.sh, which prepares the systems.

Each user knows what is in front of them: the broker's address, the number on the dial, the letter of the grid operator. Everything else
must be offered. A user who would have to look something up fails the test.
"""

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time

LIMIT_S = 300
LIMIT_ANSWERS = 10
BROKER = sys.argv[1]
KEY = "00112233445566778899AABBCCDDEEFF"
AUTH_KEY = "000102030405060708090A0B0C0D0E0F"


class Session:
    """A terminal in the user's system. Counts lines that are typed."""

    def __init__(self, root, environment):
        self.typed = 0
        self.text = ""
        self.seen = 0
        self.log = open(f"{root}.log", "w")
        child, self.terminal = pty.fork()
        if child == 0:
            os.chroot(root)
            os.chdir("/root")
            os.execve("/bin/sh", ["sh"], {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                                          "TERM": "xterm", "PS1": "READY> ", **environment})
        self.child = child
        self.wait("READY> ")

    def read(self, seconds):
        if select.select([self.terminal], [], [], seconds)[0]:
            try:
                piece = os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                raise SystemExit("the shell has ended:\n" + self.text[-2000:])
            self.log.write(piece)
            self.log.flush()
            self.text += piece

    def wait(self, pattern, seconds=120):
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text[self.seen:])):
            if time.monotonic() > until:
                raise SystemExit(f"`{pattern}` was not shown:\n{self.text[self.seen:][-2000:]}")
            self.read(0.2)
        self.seen += found.end()
        return found

    def type(self, line):
        self.typed += 1
        os.write(self.terminal, (line + "\n").encode())

    def command(self, line, seconds=240):
        self.type(line)
        self.wait(r"\n")
        begin = self.seen
        self.wait("READY> ", seconds)
        return self.text[begin:self.seen]

    def converse(self, answers):
        """Answers each question once by what it asks; to any other, takes what is offered. Ends when the shell is back."""
        answers = dict(answers)
        while True:
            line = self.wait(r"(?:READY> |: )\Z", 200) and self.text[: self.seen].rsplit("\n", 1)[-1]
            if line.endswith("READY> "):
                return
            question = next((question for question in answers if question in line), None)
            self.type(answers.pop(question, ""))
            self.wait(r"\n")

    def end(self):
        os.write(self.terminal, b"\x03")
        self.wait("READY> ")
        os.close(self.terminal)
        os.waitpid(self.child, 0)


def subscribe(topic):
    return subprocess.Popen(["mosquitto_sub", "-p", BROKER, "-t", topic, "-C", "1", "-W", str(LIMIT_S), "-F", "%t %p"],
                            stdout=subprocess.PIPE, text=True)


class Cable:
    """A serial port in the user's system, on which a meter sends a file every second."""

    def __init__(self, root, name, telegram):
        self.meter, self.port = pty.openpty()
        folder = f"{root}/dev/serial/by-id"
        os.makedirs(folder, exist_ok=True)
        os.symlink(os.ttyname(self.port), f"{folder}/{name}")
        with open(telegram, "rb") as file:
            self.telegram = file.read()
        threading.Thread(target=self.send, daemon=True).start()

    def send(self):
        while True:
            # When nobody reads, the port is full: the meter does not wait.
            if select.select([], [self.meter], [], 0)[1]:
                os.set_blocking(self.meter, False)
                try:
                    os.write(self.meter, self.telegram)
                except BlockingIOError:
                    pass
            time.sleep(1)


def play(name, root, topic, answers, environment):
    begun = time.monotonic()
    reading = subscribe(topic)
    try:
        return play_until(reading, begun, name, root, answers, environment)
    finally:
        reading.kill()


def play_until(reading, begun, name, root, answers, environment):
    session = Session(root, environment)
    session.command("apt-get install -y -qq --no-install-recommends /tmp/metertap.deb")
    shown = session.command("metertap")
    assert "metertap init" in shown, shown
    before = session.typed
    session.type("metertap init")
    session.wait(r"\n")
    session.converse(answers)
    asked = session.typed - before - 1
    session.type("metertap run")
    # A terminal that nobody reads would stop the program.
    while reading.poll() is None:
        session.read(0.2)
    first = reading.stdout.read()
    seconds = time.monotonic() - begun
    if not first:
        raise SystemExit("no reading came:\n" + session.text[-3000:])
    session.end()
    print(f"{name}: {seconds:.0f} s to the first reading; {asked} answers to metertap, {session.typed} lines typed in all")
    print(f"    {first.strip()[:150]}")
    return seconds < LIMIT_S and asked < LIMIT_ANSWERS


def main():
    american, dutch, austrian, dongle, telegram, sealed = sys.argv[2:]
    broker = ("MQTT broker", f"127.0.0.1:{BROKER}")
    fake = {"LD_LIBRARY_PATH": "/tmp/dongle", "FAKE_RTLSDR": "/tmp/dongle/orders"} if dongle == "fake" else {}
    cables = [Cable(dutch, "usb-FTDI_FT232R_USB_UART_P1-if00-port0", telegram),
              Cable(austrian, "usb-Silicon_Labs_CP2102_M-BUS-if00-port0", sealed)]
    results = [
        play("an American with a dongle", american, "readings/12345678/+",
             [("Read its dial", "48215"), ("MQTT broker", broker[1])], fake),
        play("a Dutch home with a P1 cable", dutch, "readings/+/p1", [broker], {}),
        play("an Austrian with a key", austrian, "readings/+/p1", [("Key from the grid operator", KEY), ("Authentication key", AUTH_KEY), broker], {}),
    ]
    assert len(cables) == 2
    print(f"goal: under {LIMIT_S} s and {LIMIT_ANSWERS} answers each: " + ("reached" if all(results) else "missed"))
    return 0 if all(results) else 1


sys.exit(main())
