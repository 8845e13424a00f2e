"""An XMPP client for the tests, by slixmpp: what it reads on standard input, a
JSON object a line with "as" and "xml", it sends as that user; what arrives it
prints, a stanza a line, behind the user's name.

    xmpp_client.py PORT COMPONENT_PORT alice@chat.example … component:bot.chat.example

With "times" instead, it sends the message so many times, each when the one before
has come, and prints the median of the milliseconds that took.

A user of another server than that at PORT is named with its port: eve@127.1.2.3:5222.
"""
import asyncio
import json
import statistics
import sys
import time

from slixmpp import ClientXMPP, ComponentXMPP


coming = {}  # by the id of a message, who waits for it


def show(name):
    def f(stanza):
        if stanza["id"] in coming:
            coming.pop(stanza["id"]).set_result(None)
            return stanza
        print(name, str(stanza).replace("\n", "&#10;"), flush=True)
        return stanza
    return f


def main():
    port, component_port, *names = sys.argv[1:]
    users = {}
    for name in names:
        if name.startswith("component:"):
            name = name.removeprefix("component:")
            c = ComponentXMPP(name, "secret", "127.0.0.1", int(component_port))
            c.add_event_handler("session_start", lambda _, n=name: print(n, "is there", flush=True))
            c.connect()
        else:
            name, _, other = name.partition(":")
            c = ClientXMPP(name, "secret")
            c["feature_mechanisms"].unencrypted_scram = True

            def start(_, c=c, n=name):
                c.send_raw("<presence/>")
                print(n, "is there", flush=True)
            c.add_event_handler("session_start", start)
            c.connect(("127.0.0.1", int(other or port)), disable_starttls=True)
        c.add_filter("in", show(name))
        users[name] = c
    loop = users[name].loop

    async def commands():
        reader = asyncio.StreamReader(limit=1 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            if "times" in command:
                took = []
                for i in range(command["times"]):
                    arrived = coming[f"timed-{i}"] = loop.create_future()
                    began = time.perf_counter()
                    users[command["as"]].send_raw(command["xml"].replace("<message", f"<message id='timed-{i}'"))
                    await arrived
                    took.append(1000 * (time.perf_counter() - began))
                print(command["as"], "median", statistics.median(took), flush=True)
                continue
            users[command["as"]].send_raw(command["xml"])
    loop.run_until_complete(commands())


main()
