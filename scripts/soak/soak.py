#!/usr/bin/env python3
"""Long tests of delivery, against real peers; `make soak` runs them and rewrites the table in docs/delivery.md.

    scripts/soak/soak.py [--program target/release/metertap] [--minutes 30] [--only kills,backlog] [--write]
"""

import argparse
import datetime
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import Broker, Daemon, Meter, Subscriber, wait_for

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024
# Memory for pages of the spool file, CACHE_BYTES in src/store/spool.rs.
SPOOL_CACHE_KIB = 2 * KIB

SCENARIOS = {}


def scenario(fault, promise):
    """Registers a function that returns what was observed, and whether it keeps the promise."""

    def register(function):
        SCENARIOS[function.__name__] = (fault, promise, function)
        return function

    return register


class Arrivals:
    """What a subscriber got, compared with what it should have got."""

    def __init__(self, readings):
        self.numbers, self.repeats, self.unmarked, self.reordered = set(), 0, 0, 0
        highest = 0
        for number, is_marked, is_dup in readings:
            if number in self.numbers:
                # The broker sends again what it had not recorded as acknowledged when it was stopped.
                self.repeats += not is_dup
                self.unmarked += not is_dup and not is_marked
            else:
                self.reordered += number < highest
                highest = max(highest, number)
                self.numbers.add(number)

    def lost(self, numbers):
        return [number for number in numbers if number not in self.numbers]

    def __str__(self):
        return f"out of order {self.reordered}, repeated by metertap {self.repeats}, of these unmarked {self.unmarked}"

    def is_in_order(self):
        return self.reordered == 0 and self.unmarked == 0


class Setup:
    """A meter, a broker with a subscriber, and metertap, which is not started yet."""

    def __init__(self, program, rate, more=""):
        self.dir = tempfile.TemporaryDirectory(prefix="metertap-soak-")
        folder = Path(self.dir.name)
        self.meter = Meter(rate)
        self.broker = Broker(folder / "broker").start()
        self.subscriber = Subscriber(self.broker.port)
        # From now on the broker keeps what the subscriber has not got.
        wait_for("the subscription", lambda: self.subscriber.is_subscribed)
        self.daemon = Daemon(program, folder / "metertap", self.meter, self.broker, more)

    def start(self):
        """Starts metertap; returns once it is connected to the meter."""
        before = self.meter.connections
        self.daemon.start()
        wait_for("a connection to the meter", lambda: self.meter.connections > before)

    def start_with_broker_away(self):
        self.broker.stop()
        self.start()

    def send(self, count):
        self.meter.send(count)
        wait_for("the meter", self.meter.is_done, 1200)

    def wait_for_last(self, seconds=600):
        """Waits until the last reading has arrived."""
        wait_for("the last reading", lambda: self.subscriber.has(self.meter.sent), seconds)

    def arrivals(self):
        return Arrivals(list(self.subscriber.readings))

    def end(self):
        self.daemon.stop()
        self.broker.process.kill()
        self.broker.process.wait()
        self.dir.cleanup()


@scenario("50 × `kill -9` at 100 readings a second, half of them with the broker away", "none lost that was accepted")
def kills(program, options):
    setup = Setup(program, rate=100)
    accepted, just_read = set(), set()
    is_away = False
    for i in range(options.kills):
        if (i >= options.kills // 2) != is_away:
            is_away = True
            setup.broker.stop()
        first = setup.meter.sent + 1
        setup.start()
        setup.meter.send(10**6)
        pause = time.monotonic() + random.uniform(0.5, 3.5)
        wait_for("the moment of the kill", lambda: time.monotonic() > pause)
        through, read = setup.daemon.kill(setup.meter)
        accepted |= set(range(first, through + 1))
        just_read |= set(range(max(first, through + 1), read + 1))
    setup.broker.start()
    setup.start()
    setup.send(10)
    setup.wait_for_last()
    arrivals = setup.arrivals()
    lost, lost_just_read = len(arrivals.lost(accepted)), len(arrivals.lost(just_read))
    setup.end()
    observed = (
        f"lost 0 of {len(accepted)} accepted" if lost == 0 else f"LOST {lost} of {len(accepted)} accepted"
    ) + f", {lost_just_read} of {len(just_read)} whose bytes had only just been read; {arrivals}"
    return observed, lost == 0 and lost_just_read <= 0.1 * options.kills and arrivals.is_in_order()


@scenario("a backlog of 100 000 readings", "all in order, at least 5000 a second, flat memory")
def backlog(program, options):
    setup = Setup(program, rate=options.fill_rate)
    setup.start_with_broker_away()
    setup.send(options.backlog)
    time.sleep(3)
    before, cpu = setup.daemon.status("VmRSS"), setup.daemon.cpu()
    setup.daemon.forget_peak()
    setup.broker.start()
    wait_for("the connection", lambda: setup.daemon.connections() > 0)
    begun = time.monotonic()
    setup.wait_for_last()
    seconds = setup.subscriber.last_at - begun
    cpu = setup.daemon.cpu() - cpu
    grown = setup.daemon.status("VmHWM") - before
    arrivals = setup.arrivals()
    lost = len(arrivals.lost(range(1, setup.meter.sent + 1)))
    rate = options.backlog / seconds
    setup.end()
    observed = (
        f"lost {lost}, {arrivals}; {rate:.0f} a second ({seconds:.0f} s, {cpu:.1f} CPU-seconds), "
        f"memory {grown / KIB:+.1f} MiB"
    )
    return observed, lost == 0 and arrivals.is_in_order() and rate >= 5000 and grown <= 4 * KIB


@scenario("20 restarts of the broker, 12 000 readings at 100 a second", "none lost, order kept")
def restarts(program, options):
    setup = Setup(program, rate=100)
    setup.start()
    setup.meter.send(options.readings)
    for i in range(1, 21):
        wait_for("the next restart", lambda: setup.meter.sent >= i * options.readings // 21, 600)
        setup.broker.stop()
        away = setup.meter.sent + random.randint(10, 300)
        wait_for("readings", lambda: setup.meter.sent >= min(away, options.readings))
        setup.broker.start()
    wait_for("the meter", setup.meter.is_done, 600)
    setup.send(10)
    setup.wait_for_last()
    arrivals = setup.arrivals()
    lost = len(arrivals.lost(range(1, setup.meter.sent + 1)))
    setup.end()
    return f"lost {lost}, {arrivals}", lost == 0 and arrivals.is_in_order()


@scenario(
    "24 hours without a broker, a reading a second (86 400, accelerated)",
    "peak of memory within 2 MB of the start, plus 2 MB for the spool's cache",
)
def day(program, options):
    setup = Setup(program, rate=options.fill_rate)
    setup.start_with_broker_away()
    setup.send(300)
    time.sleep(3)
    before = setup.daemon.status("VmRSS")
    setup.daemon.forget_peak()
    setup.send(options.day)
    time.sleep(3)
    grown = setup.daemon.status("VmHWM") - before
    setup.broker.start()
    setup.wait_for_last()
    arrivals = setup.arrivals()
    lost = len(arrivals.lost(range(1, setup.meter.sent + 1)))
    setup.end()
    observed = f"memory {grown / KIB:+.1f} MiB; afterwards lost {lost}, {arrivals}"
    return observed, grown <= 2 * KIB + SPOOL_CACHE_KIB and lost == 0 and arrivals.is_in_order()


@scenario("a broker that comes and goes for a long time, 20 readings a second", "none lost, order kept, flat memory")
def bouncing(program, options):
    setup = Setup(program, rate=20)
    setup.start()
    setup.meter.send(10**6)
    end = time.monotonic() + 60 * options.minutes
    # Everything has been in use by then.
    warm, before, bounces = time.monotonic() + 60, None, 0
    while time.monotonic() < end:
        time.sleep(random.uniform(5, 40))
        setup.broker.stop()
        time.sleep(random.uniform(0, 15))
        setup.broker.start()
        bounces += 1
        if before is None and time.monotonic() > warm:
            before = setup.daemon.status("VmRSS")
    setup.meter.pause()
    setup.send(10)
    setup.wait_for_last()
    after = setup.daemon.status("VmRSS")
    grown = after - (before or after)
    arrivals = setup.arrivals()
    lost = len(arrivals.lost(range(1, setup.meter.sent + 1)))
    setup.end()
    observed = (
        f"{options.minutes:g} minutes, {bounces} outages, {setup.meter.sent} readings: lost {lost}, {arrivals}; "
        f"memory {grown / KIB:+.1f} MiB"
    )
    return observed, lost == 0 and arrivals.is_in_order() and grown <= 2 * KIB + SPOOL_CACHE_KIB


@scenario("the process sleeps for a minute (SIGSTOP, suspend) while the meter sends", "none lost that reached the machine")
def suspended(program, options):
    setup = Setup(program, rate=20)
    setup.start()
    setup.meter.send(10**6)
    wait_for("readings", lambda: setup.subscriber.has(50))
    setup.daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(options.suspend)
    setup.daemon.process.send_signal(signal.SIGCONT)
    through = setup.meter.sent
    wait_for("readings", lambda: setup.meter.sent > through + 100)
    setup.meter.pause()
    setup.send(10)
    setup.wait_for_last()
    arrivals = setup.arrivals()
    lost = len(arrivals.lost(range(1, setup.meter.sent + 1)))
    setup.end()
    observed = f"{options.suspend} s, {setup.meter.sent} readings: lost {lost}, {arrivals}"
    return observed, lost == 0 and arrivals.is_in_order()


# Faults that are tested with every change, by the names of their tests in tests/it.
FAULTS = [
    (
        "the disk of the spool becomes full with a backlog, and has room again",
        "none lost; with a broker, readings flow although it is full",
        "spool::given_a_disk_that_is_full_for_a_while_then_nothing_is_lost",
    ),
    (
        "the disk of the spool is full at the start",
        "metertap starts, readings flow",
        "spool::given_a_disk_that_is_full_at_the_start_then_readings_flow_and_the_spool_comes_with_room",
    ),
    (
        "spool, journal and history are garbage",
        "set aside under a dated name, metertap starts",
        "spool::given_damaged_files_then_they_are_set_aside_and_the_daemon_starts",
    ),
    (
        "a connection that is open and swallows everything, then `kill -9`",
        "none lost",
        "spool::given_a_network_that_swallows_everything_then_a_kill_loses_nothing",
    ),
    (
        "every packet is dropped, three times",
        "none lost, order kept",
        "outages::given_a_network_that_drops_every_packet_then_nothing_is_lost",
    ),
    (
        "the broker is full",
        "none lost",
        "outages::given_a_full_broker_then_refused_readings_are_delivered_when_it_has_room",
    ),
    (
        "a connection that breaks before the PUBACKs",
        "sent again, marked",
        "outages::given_a_connection_lost_before_the_puback_then_resent_readings_are_marked",
    ),
    (
        "a broker that acknowledges every message twice",
        "none lost, order kept",
        "outages::given_a_broker_that_acknowledges_twice_then_all_readings_arrive_in_order",
    ),
    (
        "a server of a NATS cluster is killed",
        "none lost, order kept",
        "outages::given_a_nats_cluster_then_a_killed_server_costs_no_reading",
    ),
    (
        "the broker's access list forbids discovery (MQTT 3.1.1 and 5)",
        "all readings arrive; logged with the topic",
        "brokers::given_an_acl_that_forbids_discovery_then_every_reading_arrives_all_the_same",
    ),
    (
        "a reading that is too large for the broker (four limits)",
        "set aside, logged with the topic; all others arrive",
        "brokers::given_a_reading_that_is_too_large_for_the_broker_then_all_others_arrive_and_it_is_named",
    ),
    (
        "the broker publishes the last will of an old connection",
        "the status is corrected",
        "brokers::given_a_last_will_that_comes_late_then_the_status_is_corrected",
    ),
    (
        "two clients with one client id",
        "the log names the cause, once",
        "brokers::given_two_clients_with_one_id_then_the_log_names_the_cause_once",
    ),
    (
        "an HTTP server has moved (308)",
        "posts follow it; none counts as delivered before",
        "outputs::given_an_http_server_that_has_moved_then_posts_follow_it_and_nothing_counts_as_delivered_before",
    ),
    (
        "the reader of standard output goes away",
        "that output ends, nothing else",
        "outputs::given_a_reader_of_standard_output_that_goes_away_then_only_that_output_ends",
    ),
    (
        "the disk of a file output is full for a while",
        "lines wait, and each is whole",
        "outputs::given_a_full_disk_then_lines_of_a_file_wait_and_each_is_whole",
    ),
]


def run_tests():
    """Runs the tests of `FAULTS`; returns rows for the table, and whether all hold."""
    names = [name for _, _, name in FAULTS]
    command = [os.environ.get("CARGO", "cargo"), "test", "--features", "demo", "--test", "it", "--", "--exact"]
    # Not a pipe, which subscribers that outlive the tests would keep open.
    with tempfile.TemporaryFile("w+") as file:
        subprocess.run(command + names, cwd=ROOT, stdout=file, stderr=subprocess.DEVNULL)
        file.seek(0)
        output = file.read()
    results = dict(re.findall(r"^test (\S+) \.\.\. (\w+)", output, re.M))
    words = {"ok": "holds", "ignored": "not run: this machine lacks the permission", "FAILED": "**broken**"}
    rows = [
        (fault, promise, f"{words.get(results.get(name), 'not run')} (`tests/it`, `{name.split('::')[0]}`)")
        for fault, promise, name in FAULTS
    ]
    return rows, all(results.get(name) in ("ok", "ignored") for name in names)


def rewrite_table(rows, program):
    """Replaces the rows of `rows` in the table between the markers of docs/delivery.md; others stay."""
    path = ROOT / "docs" / "delivery.md"
    head, rest = path.read_text().split(BEGIN)
    old, tail = rest.split(END)
    kept = dict(re.findall(r"^(\| [^|]+) (\|.*\|)$", old, re.M))
    kept.pop("| fault", None)
    kept.pop("| ---", None)
    for fault, promise, observed in rows:
        kept[f"| {fault}"] = f"| {promise} | {observed} | {datetime.date.today()} |"
    order = [f"| {fault}" for fault, *_ in [*SCENARIOS.values(), *FAULTS]]
    lines = [f"{fault} {kept[fault]}" for fault in order if fault in kept]
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    table = "\n".join(
        [
            f"Last run: {version}, {machine()}.\n",
            "| fault | promise | observed | date |",
            "| --- | --- | --- | --- |",
            *lines,
        ]
    )
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{tail}")


BEGIN, END = "<!-- written by scripts/soak/soak.py -->", "<!-- end -->"


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    name = model[1] if model else platform.machine()
    return f"{os.cpu_count()} cores ({name}), Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/metertap")
    parser.add_argument("--only", default=",".join([*SCENARIOS, "tests"]), help="names of scenarios")
    parser.add_argument("--write", action="store_true", help="rewrite the table in docs/delivery.md")
    parser.add_argument("--minutes", type=float, default=30, help="of the bouncing broker")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--readings", type=int, default=12_000)
    parser.add_argument("--day", type=int, default=86_400)
    parser.add_argument("--suspend", type=int, default=60, help="seconds of sleep")
    parser.add_argument("--fill-rate", type=int, default=2000, help="readings a second while the broker is away")
    options = parser.parse_args()
    rows, has_failed = [], False
    for name in options.only.split(","):
        if name == "tests":
            more, is_kept = run_tests()
            print("\n".join(" | ".join(row) for row in more), flush=True)
            rows += more
            has_failed |= not is_kept
            continue
        fault, promise, function = SCENARIOS[name]
        print(f"{fault}: {promise}", flush=True)
        observed, is_kept = function(options.program.resolve(), options)
        print(f"  {'kept' if is_kept else 'BROKEN'}: {observed}", flush=True)
        rows.append((fault, promise, observed if is_kept else f"**broken**: {observed}"))
        has_failed |= not is_kept
    if options.write:
        rewrite_table(rows, options.program)
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
