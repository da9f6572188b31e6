#!/usr/bin/env python3
"""Says whether this pod leads, at once and at each change, until Ctrl-C. Python's standard library alone.

ELECTOR_SSE_URL names the elector (http://localhost:6060/sse), POD_NAME this pod (the host name)."""
import http.client
import json
import os
import socket
import time
import urllib.request

URL = os.environ.get("ELECTOR_SSE_URL", "http://localhost:6060/sse")
ME = os.environ.get("POD_NAME") or socket.gethostname()
SILENCE_S = 40  # the elector says something every 15 s


def leaders():
    """Yields who leads, "" for nobody; None when it is not known, because the elector cannot be heard."""
    while True:
        try:
            with urllib.request.urlopen(URL, timeout=SILENCE_S) as events:
                for line in events:
                    if line.startswith(b"data:"):
                        yield json.loads(line[5:])["name"]
        except (OSError, http.client.HTTPException):
            pass
        yield None
        time.sleep(1)


def main():
    leads = False
    for leader in leaders():
        was, leads = leads, leader == ME
        if leads and not was:
            print(f"I, {ME}, lead", flush=True)  # begin the work here
        elif was and not leads:
            print("I lead no more", flush=True)  # end it here, at once
        if leader and not leads:
            print(f"{leader} leads", flush=True)


try:
    main()
except KeyboardInterrupt:
    pass
