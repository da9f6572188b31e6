#!/usr/bin/python3
"""Runs the test API server as a program: prints one line of JSON (url, port) when it serves, and ends with its standard input or by signal.

    tests/kube/apiserver.py [--port N] [--tls-cert F --tls-key F [--client-ca F]] [--token TOKEN=USER]... [--kubeconfig FILE] [--load FILE]
"""
import argparse
import json
import signal
import sys
import threading

from kubeapi import KubeApi


def kubeconfig(api, token, ca):
    cluster = {"server": api.url}
    if ca:
        cluster["certificate-authority"] = ca
    return {"apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}]}


def main():
    parser = argparse.ArgumentParser(description="A Kubernetes API server for tests, on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--client-ca", help="client certificates of this CA are users (CN) and groups (O)")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=USER")
    parser.add_argument("--kubeconfig", help="writes a kubeconfig for the first token")
    parser.add_argument("--ca", help="the CA that the kubeconfig names")
    parser.add_argument("--load", action="append", default=[], metavar="FILE", help="JSON objects to begin with: one, or a list")
    parser.add_argument("--no-gc", action="store_true", help="without the garbage collector, which looks at everything after each write")
    args = parser.parse_args()

    tokens = dict(pair.split("=", 1) for pair in args.token)
    api = KubeApi(args.port, args.tls_cert, args.tls_key, args.client_ca, tokens)
    api.store.pause_gc(args.no_gc)
    for path in args.load:
        with open(path, encoding="utf-8") as file:
            objects = json.load(file)
        for obj in objects if isinstance(objects, list) else [objects]:
            api.put(obj)
    if args.kubeconfig:
        with open(args.kubeconfig, "w", encoding="utf-8") as file:
            json.dump(kubeconfig(api, next(iter(tokens), None), args.ca), file)
    print(json.dumps({"url": api.url, "port": api.port}), flush=True)

    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    if not sys.stdin.isatty():
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    over.wait()
    api.close()


if __name__ == "__main__":
    main()
