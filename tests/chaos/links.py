#!/usr/bin/python3
"""The network between agents and nodes: a TCP proxy with one listener for every link, each of which can be troubled by itself.

    links.py NODE_PORT... --agents N

Prints the ports of its listeners as JSON, `ports[agent][node]`, then obeys lines of JSON on standard input, and answers each with `ok`:

    {"link": [agent, node], "do": "hold", "way": 0|1, "on": bool}      nothing passes that way: a cut, or half of one
    {"link": [agent, node], "do": "delay", "way": 0|1, "ms": [lo, hi]}  every piece waits that long, in order
    {"link": [agent, node], "do": "refuse", "on": bool}                 new connections are reset
    {"link": [agent, node], "do": "reset", "late": bool}                connections break; with `late`, what was on its way to
                                                                        the node still arrives there

Way 0 is towards the node, way 1 towards the agent.
"""
import argparse
import asyncio
import collections
import json
import random
import sys

PENDING_MAX_BYTES = 1 << 20


class Way:
    """One direction of one connection: pieces in order, each due at its time. None is the end of the stream."""

    def __init__(self, link, number):
        self.link, self.number = link, number
        self.source = self.target = None  # transports
        self.pieces, self.bytes, self.timer, self.last_due = collections.deque(), 0, None, 0.0

    def feed(self, data):
        low, high = self.link.delay[self.number]
        now = self.link.loop.time()
        self.last_due = max(self.last_due, now + (random.uniform(low, high) if high else 0))
        self.pieces.append((self.last_due, data))
        self.bytes += len(data or b"")
        if self.bytes > PENDING_MAX_BYTES and data is not None:
            self.source.pause_reading()
        self.pump()

    def pump(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.target is None or self.link.held[self.number]:
            return
        if self.target.is_closing():
            self.pieces.clear()
            return
        now = self.link.loop.time()
        while self.pieces and self.pieces[0][0] <= now:
            _, data = self.pieces.popleft()
            if data is None:
                self.target.close()
                return
            self.bytes -= len(data)
            self.target.write(data)
        if self.pieces:
            self.timer = self.link.loop.call_at(self.pieces[0][0], self.pump)
        elif self.source is not None and not self.source.is_closing():
            self.source.resume_reading()

    def drop(self):
        self.pieces.clear()
        if self.timer is not None:
            self.timer.cancel()
        if self.target is not None:
            self.target.abort()


class End(asyncio.Protocol):
    """One socket of a connection: reads into `way`."""

    def __init__(self, connection, number):
        self.connection, self.way = connection, connection.ways[number]

    def connection_made(self, transport):
        self.way.source = transport
        other = self.connection.ways[1 - self.way.number]
        other.target = transport
        other.pump()

    def data_received(self, data):
        self.way.feed(data)

    def connection_lost(self, _):
        self.way.feed(None)


class Connection:
    def __init__(self, link):
        self.link = link
        self.ways = [Way(link, 0), Way(link, 1)]
        link.connections.add(self)
        link.loop.create_task(self.reach_node())

    async def reach_node(self):
        try:
            await self.link.loop.create_connection(lambda: End(self, 1), "127.0.0.1", self.link.node_port)
        except OSError:
            self.break_off(late=False)

    def break_off(self, late):
        """Late: what the agent had sent reaches the node all the same, in its time."""
        self.ways[1].drop()
        if late:
            self.ways[0].feed(None)
        else:
            self.ways[0].drop()
            self.link.connections.discard(self)

    def over(self):
        return all(way.target is not None and way.target.is_closing() for way in self.ways)


class Link:
    def __init__(self, node_port):
        self.node_port = node_port
        self.loop = asyncio.get_running_loop()
        self.connections, self.held, self.delay, self.refuses = set(), [False, False], [(0, 0), (0, 0)], False

    def accept(self):
        if self.refuses:
            return Refused()
        self.connections = {c for c in self.connections if not c.over()}
        return End(Connection(self), 0)

    async def listen(self):
        server = await self.loop.create_server(self.accept, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    def obey(self, order):
        if order["do"] == "hold":
            self.held[order["way"]] = order["on"]
            for connection in self.connections:
                connection.ways[order["way"]].pump()
        elif order["do"] == "delay":
            self.delay[order["way"]] = tuple(ms / 1000 for ms in order["ms"])
        elif order["do"] == "refuse":
            self.refuses = order["on"]
        elif order["do"] == "reset":
            for connection in list(self.connections):
                connection.break_off(order["late"])
        else:
            raise ValueError(order)


class Refused(asyncio.Protocol):
    def connection_made(self, transport):
        transport.abort()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nodes", type=int, nargs="+")
    parser.add_argument("--agents", type=int, required=True)
    options = parser.parse_args()
    links = [[Link(port) for port in options.nodes] for _ in range(options.agents)]
    print(json.dumps([[await link.listen() for link in row] for row in links]), flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        agent, node = order["link"]
        links[agent][node].obey(order)
        print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
