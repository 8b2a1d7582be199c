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


# Everything that a three-phase DSMR 5 meter sends, and the gas meter behind it.
DSMR5 = [
    "0-0:1.0.0(260131120000W)", "1-0:1.8.1(000671.578*kWh)", "1-0:1.8.2(000842.472*kWh)", "1-0:2.8.1(000010.500*kWh)",
    "1-0:2.8.2(000020.250*kWh)", "0-0:96.14.0(0001)", "1-0:1.7.0(00.333*kW)", "1-0:2.7.0(00.000*kW)",
    "0-0:96.7.21(00003)", "0-0:96.7.9(00001)", "1-0:32.32.0(00002)", "1-0:52.32.0(00002)", "1-0:72.32.0(00002)",
    "1-0:32.36.0(00000)", "1-0:52.36.0(00000)", "1-0:72.36.0(00000)", "1-0:32.7.0(230.1*V)", "1-0:52.7.0(229.8*V)",
    "1-0:72.7.0(231.0*V)", "1-0:31.7.0(001*A)", "1-0:51.7.0(000*A)", "1-0:71.7.0(000*A)", "1-0:21.7.0(00.333*kW)",
    "1-0:41.7.0(00.000*kW)", "1-0:61.7.0(00.000*kW)", "1-0:22.7.0(00.000*kW)", "1-0:42.7.0(00.000*kW)",
    "1-0:62.7.0(00.000*kW)", "0-1:24.1.0(003)", "0-1:96.1.0(474153303031)", "0-1:24.2.1(260131120000W)(00473.789*m3)",
]

# The 31 values of a Kamstrup Omnipower.
OMNIPOWER = (
    [f"1-0:{code}.8.0(000671.578*kWh)" for code in (1, 2, 21, 41, 61, 22, 42, 62)]
    + [f"1-0:{code}.8.0(000010.500*kvarh)" for code in (3, 4)]
    + [f"1-0:{code}.7.0(00.333*kW)" for code in (1, 2, 21, 41, 61, 22, 42, 62)]
    + [f"1-0:{code}.7.0(00.011*kvar)" for code in (3, 4)]
    + [f"1-0:{code}.7.0(230.1*V)" for code in (32, 52, 72)]
    + [f"1-0:{code}.7.0(001.50*A)" for code in (31, 51, 71)]
    + [f"1-0:{code}.7.0(00.98)" for code in (13, 33, 53, 73)]
)
