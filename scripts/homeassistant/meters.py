"""Meters of the test: P1 lines on TCP, and a radio street on an rtl_tcp server."""

import asyncio
import pathlib
import struct
import time


def crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc


def telegram(identity: str, lines: list[str]) -> bytes:
    """A P1 telegram of the meter `identity` with its checksum."""
    head = ["/MTP5x", "", f"0-0:96.1.1({identity.encode().hex().upper()})"]
    body = ("\r\n".join(head + lines) + "\r\n!").encode()
    return body + f"{crc16(body):04X}\r\n".encode()


class P1:
    """A bridge that sends what it is told to, to whoever is connected, and repeats it every few seconds."""

    def __init__(self, identity: str):
        self.identity, self.lines, self.clients, self.port = identity, [], set(), None
        self.is_silent = False

    async def start(self, period=2.0):
        async def client(reader, writer):
            self.clients.add(writer)
            try:
                await reader.read()
            except ConnectionError:
                pass
            finally:
                self.clients.discard(writer)

        server = await asyncio.start_server(client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

        async def repeat():
            while True:
                await asyncio.sleep(period)
                self.send()

        self.tasks = [asyncio.create_task(server.serve_forever()), asyncio.create_task(repeat())]
        return self

    def send(self, lines=None):
        if lines is not None:
            self.lines = lines
        if self.lines and not self.is_silent:
            for writer in list(self.clients):
                if not writer.is_closing():
                    writer.write(telegram(self.identity, self.lines))

    def imports(self, kwh: float):
        self.send([f"1-0:1.8.0({kwh:010.3f}*kWh)", "1-0:1.7.0(00.500*kW)"])

    def wire(self, name: str) -> str:
        return f'[[wire]]\nname = "{name}"\nprotocol = "p1"\nsource = "tcp://127.0.0.1:{self.port}"\n'


async def street(recording: pathlib.Path, sample_rate: int) -> int:
    """Plays a recording in a loop on an rtl_tcp server; returns its port."""
    samples = recording.read_bytes()
    step = sample_rate // 10 * 2

    async def client(reader, writer):
        commands = asyncio.create_task(reader.read())
        writer.write(b"RTL0" + struct.pack(">II", 5, 29))
        begun, sent = time.monotonic(), 0
        try:
            while not commands.done():
                at = sent % (len(samples) - step)
                writer.write(samples[at:at + step])
                await writer.drain()
                sent += step
                await asyncio.sleep(max(0.0, begun + sent / (2 * sample_rate) - time.monotonic()))
        except ConnectionError:
            pass
        finally:
            commands.cancel()

    server = await asyncio.start_server(client, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]
