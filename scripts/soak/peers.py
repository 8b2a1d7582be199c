"""Real peers of metertap: a P1 meter behind TCP, mosquitto, and a subscriber that keeps its session."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

HOST = "127.0.0.1"


def free_port():
    with socket.create_server((HOST, 0)) as server:
        return server.getsockname()[1]


def wait_for(what, is_ready, seconds=120):
    deadline = time.monotonic() + seconds
    while not (result := is_ready()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
    return result


# CRC-16/ARC, bit by bit for each byte value.
CRC = [0] * 256
for value in range(256):
    crc = value
    for _ in range(8):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    CRC[value] = crc


def telegram(number):
    """A P1 telegram of the meter `M1` that reads `number` kWh."""
    text = b"/MTP5soak\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:1.8.0(%06d.000*kWh)\r\n!" % number
    crc = 0
    for byte in text:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return text + b"%04X\r\n" % crc


class Meter:
    """Sends numbered telegrams at `rate` a second to whoever is connected, while it is running."""

    def __init__(self, rate):
        self.rate = rate
        self.server = socket.create_server((HOST, 0))
        self.port = self.server.getsockname()[1]
        self.sent = 0
        self.limit = 0
        # Of the present connection: its number, its bytes so far, and (bytes, number) at the end of each telegram.
        self.connections = 0
        self.bytes = 0
        self.ends = []
        self.line = None
        threading.Thread(target=self._serve, daemon=True).start()

    def send(self, count):
        """Lets it send `count` telegrams more."""
        self.limit = self.sent + count

    def pause(self):
        self.limit = 0

    def is_done(self):
        return self.sent >= self.limit

    def _serve(self):
        while True:
            line, _ = self.server.accept()
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.line, self.bytes, self.ends = line, 0, []
            self.connections += 1
            try:
                self._send_on(line)
            except OSError:
                pass
            line.close()

    def _send_on(self, line):
        due = time.monotonic()
        while True:
            if self.is_done():
                # Notices the end of the connection also while it is silent.
                readable, _, _ = select.select([line], [], [], 0.01)
                if readable and not line.recv(256):
                    return
                due = time.monotonic()
                continue
            data = telegram(self.sent + 1)
            line.sendall(data)
            self.sent += 1
            self.bytes += len(data)
            self.ends.append((self.bytes, self.sent))
            due += 1 / self.rate
            time.sleep(max(0, due - time.monotonic()))

    def read_through(self):
        """Number of the last telegram that the stopped program has read to its end, by the kernel's queues."""
        ours, theirs = self.port, self.line.getpeername()[1]
        unread = 0
        for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            local, remote, _, queues = row.split()[1:5]
            ports = int(local.split(":")[1], 16), int(remote.split(":")[1], 16)
            to_send, to_read = (int(queue, 16) for queue in queues.split(":"))
            if ports == (theirs, ours):
                unread += to_read
            if ports == (ours, theirs):
                unread += to_send
        read = self.bytes - unread
        return max((number for end, number in self.ends if end <= read), default=0)


class Broker:
    """A mosquitto that keeps what its persistent subscribers have not got."""

    def __init__(self, folder, more=""):
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\nuser root\nmax_queued_messages 0\n"
            f"persistence true\npersistence_location {folder}/\n{more}\n"
        )
        self.process = None

    def start(self):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", self.folder / "mosquitto.conf"],
                env={**os.environ, "PATH": path},
                stdout=log,
                stderr=log,
            )

        def is_listening():
            with socket.socket() as probe:
                return probe.connect_ex((HOST, self.port)) == 0

        wait_for("mosquitto", is_listening)
        return self

    def stop(self):
        """Ends it in an orderly way, so that it saves what it keeps."""
        self.process.terminate()
        self.process.wait(60)


class Subscriber:
    """MQTT 3.1.1 client that keeps its session and remembers of each reading: number, mark `resent`, the broker's DUP flag."""

    READING = re.compile(rb'"energy_import_total":\{"value":(\d+)')

    def __init__(self, port, topic="readings/M1/p1"):
        self.port, self.topic = port, topic.encode()
        self.readings = []
        self.last_at = 0.0
        self.is_subscribed = False
        threading.Thread(target=self._run, daemon=True).start()

    def has(self, number):
        return any(reading == number for reading, *_ in self.readings[-500:])

    def _run(self):
        while True:
            try:
                with socket.create_connection((HOST, self.port), 5) as connection:
                    self._serve(connection)
            except OSError:
                pass
            time.sleep(0.05)

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connect = b"\0\x04MQTT\x04\0\0\x3c" + text(b"soak-subscriber")
        connection.sendall(packet(0x10, connect) + packet(0x82, b"\0\1" + text(self.topic) + b"\1"))
        connection.settimeout(20)
        data = b""
        while True:
            try:
                received = connection.recv(1 << 18)
            except TimeoutError:
                connection.sendall(packet(0xC0, b""))
                continue
            if not received:
                return
            data = self._take_packets(connection, data + received)

    def _take_packets(self, connection, data):
        acknowledgements, place = bytearray(), 0
        while (found := body_of(data, place)) is not None:
            begin, end = found
            self.is_subscribed |= data[place] >> 4 == 9
            if data[place] >> 4 == 3:
                length = int.from_bytes(data[begin : begin + 2], "big")
                packet_id = data[begin + 2 + length : begin + 4 + length]
                body = data[begin + 4 + length : end]
                if match := self.READING.search(body):
                    is_marked = body.endswith(b',"resent":true}')
                    self.readings.append((int(match[1]), is_marked, bool(data[place] & 8)))
                    self.last_at = time.monotonic()
                acknowledgements += b"\x40\x02" + packet_id
            place = end
        connection.sendall(acknowledgements)
        return data[place:]


def text(content):
    return struct.pack(">H", len(content)) + content


def packet(kind, body):
    # Bodies here are shorter than 128 bytes.
    return bytes([kind, len(body)]) + body


def body_of(data, place):
    """Begin and end of the body of the packet at `place`; `None` if it is not whole."""
    length = shift = 0
    for i in range(place + 1, min(place + 5, len(data))):
        length |= (data[i] & 0x7F) << shift
        shift += 7
        if data[i] < 0x80:
            return (i + 1, i + 1 + length) if i + 1 + length <= len(data) else None
    return None


class Daemon:
    """`metertap run` with a meter and a broker; its spool and journal lie in `folder`."""

    def __init__(self, program, folder, meter, broker, more=""):
        self.program, self.folder = program, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.spool = folder / "spool.redb"
        self.config = folder / "metertap.toml"
        self.config.write_text(
            f'[mqtt]\nhost = "{HOST}:{broker.port}"\nspool = "{self.spool}"\n{more}\n'
            f'[[wire]]\nprotocol = "p1"\nsource = "tcp://{HOST}:{meter.port}"\n'
        )
        self.config.chmod(0o600)
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "run", "--config", self.config], stdout=log, stderr=log
            )
        return self

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def connections(self):
        return self.log().count("Connected to the broker")

    def kill(self, meter):
        """Kills it; returns the last telegram that it had accepted, and the last one that it had read."""
        self.process.send_signal(signal.SIGSTOP)
        meter.pause()
        # Until the last telegram is in the queues of the kernel.
        time.sleep(0.05)
        read = meter.read_through()
        self.process.kill()
        self.process.wait()
        journal = Path(f"{self.spool}.journal")
        records = re.findall(Subscriber.READING, journal.read_bytes()) if journal.exists() else []
        return max(map(int, records), default=0), read

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)

    def status(self, key):
        """A value of /proc/PID/status in kB, such as VmRSS or VmHWM."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{key}:\s+(\d+)", text)[1])

    def forget_peak(self):
        """Sets VmHWM to VmRSS."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self):
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
