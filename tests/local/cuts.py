#!/usr/bin/env python3
"""The connection between two nodes breaks after each TLS record in turn, in several ways: a sweep that knows nothing of
phases and so leaves none out, the handshake included. Each cut ends in time, in words, with whole rows, and the same
server measures on."""

import os
import select
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import main  # noqa: E402
from faults import BOTH, LATENCY, Case, Faults, await_true  # noqa: E402

UP, DOWN = "client to server", "server to client"
# reset: both ends are told so. silence: nothing goes through any more. deaf: nothing goes this way any more.
# client, server: that process is killed.


class Wire(threading.Thread):
    """Carries one connection to the server, record by record, until the cut."""

    def __init__(self, port, way=None, direction=UP, number=0, kill=None):
        super().__init__(daemon=True)
        self.target, self.way, self.direction, self.number, self.kill = int(port), way, direction, number, kill
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self.listener.getsockname()[1])
        self.records = {UP: 0, DOWN: 0}
        self.cut_at, self.over = None, threading.Event()

    def run(self):
        ends = [self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.target))]
        self.listener.close()
        for end in ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.carry(*ends)
        except OSError:
            pass    # one end is gone; closing tells the other
        for end in ends:
            end.close()

    def carry(self, client, server):
        ways = {client: (UP, server), server: (DOWN, client)}
        held = {client: b"", server: b""}
        dumb = set()
        while ways:
            for end in select.select([e for e in ways if e not in dumb], [], [], 0.2)[0]:
                got = end.recv(65536)
                if not got:
                    return
                held[end] += got
                while len(held[end]) >= 5 and len(held[end]) >= 5 + struct.unpack(">H", held[end][3:5])[0]:
                    length = 5 + struct.unpack(">H", held[end][3:5])[0]
                    record, held[end] = held[end][:length], held[end][length:]
                    direction, other = ways[end]
                    self.records[direction] += 1
                    if direction == self.direction and self.records[direction] == self.number:
                        self.cut_at = time.monotonic()
                        if self.way == "reset":
                            for each in ways:
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return
                        if self.way in ("silence", "deaf"):
                            dumb.update(ways if self.way == "silence" else [end])
                            break
                        self.kill()
                    other.sendall(record)
            if self.over.is_set():
                return


class Cuts(Faults):
    def cut(self, way, direction, number, points=LATENCY):
        case = Case(self, f"{way} at record {number} {direction}", points)

        def kill():
            # The first record comes through before the client that sent it is known here.
            await_true(lambda: hasattr(case, way))
            os.kill(getattr(case, way).pid, signal.SIGKILL)

        def through_wire(port):
            case.wire = Wire(port, way, direction, number, kill)
            case.wire.start()
            return case.wire.port

        case.start(port=through_wire)
        if way == "client":
            case.client.wait(timeout=60)
        else:
            # 0: all was over before the cut.
            case.client_ends([0, 3], lambda: case.wire.cut_at or time.monotonic())
        cut_at = case.wire.cut_at
        case.check(cut_at or case.client.returncode == 0, "failed without a cut:", case.said.text)
        if cut_at and way != "server":
            # Who is cut off before the handshake is over was no client yet.
            case.server_says(r"failed: |is through|turned 1 connection away", cut_at)
        if way != "server":
            case.server_goes_on()
        case.wire.over.set()
        status = case.rows_are_in_order()
        case.check(way == "client" or (case.client.returncode == 0) == (status == ["ok"] * 3), "rows are", status,
                   "but the exit status is", case.client.returncode)
        return case

    def sweep(self, *ways):
        """Every record of the beginning, where each message comes once, then every few."""
        cases = []
        for direction, records in self.count(LATENCY).items():
            numbers = [*range(1, 16), *range(16, records + 4, 4)]
            # Where there is more than one way, they take turns in the middle.
            cases += [(way, direction, number) for number in numbers for i, way in enumerate(ways)
                      if number < 16 or number // 4 % len(ways) == i]
        self.each(self.cut, cases, at_once=16)

    def count(self, points):
        """The records of a run that nothing disturbs."""
        case = Case(self, "nothing", points)
        case.start(port=self.straight)
        case.client_ends([0], time.monotonic)
        self.each(lambda: case, [()])
        return dict(self.wire.records)

    def straight(self, port):
        self.wire = Wire(port)
        self.wire.start()
        return self.wire.port

    def test_reset(self):
        self.sweep("reset")

    def test_silence(self):
        self.sweep("silence", "deaf")

    def test_killed(self):
        self.sweep("client", "server")

    def test_where_both_drive(self):
        """In the second point, a different way each time: clocks, windows, and the payload verified."""
        ways, cases = ("reset", "silence", "client", "deaf", "server"), []
        for direction, records in self.count(BOTH).items():
            numbers = range(records // 3, 2 * records // 3, 5)
            cases += [(ways[i % len(ways)], direction, number, BOTH) for i, number in enumerate(numbers)]
        self.assertGreater(len(cases), 2 * len(ways))
        self.each(self.cut, cases, at_once=16)


if __name__ == "__main__":
    main()
