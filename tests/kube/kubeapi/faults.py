"""Faults on demand. A fault is a dict: what it matches, how often, and what it does.

Matching (all that are given): verb, resource, name, namespace, user, path (a part of it).
How often: times (default: always), skip (the first n matches pass), every (2: each second match).
What:
    delay: seconds               before anything else
    status: 429, retry_after: 1  that answer instead of the right one (any status; words as the real server's)
    conflict: true               409 Conflict though nothing changed
    hang: true                   never answers
    close: true                  closes without an answer, before anything is done
    lose_answer: true            does it, and closes without an answer
    cut_after: n                 closes after n bytes of the answer (of the whole answer, head included)
    pieces: n                    sends the answer n bytes at a time
    body: "text"                 200 with that body instead
"""
import threading

from .objects import ApiError

KNOWN = {"verb", "resource", "name", "namespace", "user", "path", "times", "skip", "every", "delay", "status", "retry_after", "reason",
         "message", "conflict", "hang", "close", "lose_answer", "cut_after", "pieces", "body"}
MATCHING = ("verb", "resource", "name", "namespace", "user")

WORDS = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "The request did not complete within the allotted time"),
}


class Fault:
    def __init__(self, spec):
        unknown = set(spec) - KNOWN
        if unknown:
            raise ValueError(f"a fault has no {sorted(unknown)}; it has {sorted(KNOWN)}")
        self.spec = spec
        self.seen = 0
        self.hits = 0

    def matches(self, facts):
        if any(k in self.spec and facts.get(k) != self.spec[k] for k in MATCHING):
            return False
        if self.spec.get("path", "") not in facts["path"]:
            return False
        self.seen += 1
        if self.seen <= self.spec.get("skip", 0):
            return False
        if (self.seen - self.spec.get("skip", 0)) % self.spec.get("every", 1):
            return False
        if self.hits >= self.spec.get("times", float("inf")):
            return False
        self.hits += 1
        return True

    def error(self, facts):
        """The ApiError to answer, or None."""
        resource, name = facts.get("resource"), facts.get("name") or ""
        if self.spec.get("conflict"):
            return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {resource} "{name}": the object has been modified; please apply '
                            "your changes to the latest version and try again", {"name": name, "kind": resource})
        code = self.spec.get("status")
        if code is None:
            return None
        reason, message = WORDS.get(code, ("", "the server answered so because it was told to"))
        return ApiError(code, self.spec.get("reason", reason), self.spec.get("message", message), retry_after=self.spec.get("retry_after"))


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []

    def add(self, spec):
        with self.lock:
            fault = Fault(spec)
            self.faults.append(fault)
            return fault

    def clear(self):
        with self.lock:
            self.faults.clear()

    def find(self, facts):
        """The faults that strike this request, in order."""
        with self.lock:
            return [fault for fault in self.faults if fault.matches(facts)]
