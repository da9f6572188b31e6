"""The HTTP side: paths to verbs, authentication, watches, faults, and the door for tests (/_control).

KubeApi runs in threads of the process that makes it. Methods of it (put, remove, fault, ...) are for tests in the same process; the same
things can be asked for over POST /_control by tests that started it as a program.
"""
import base64
import email.utils
import http.server
import json
import select
import socket
import ssl
import threading
import time
import urllib.parse

from .faults import Faults
from .objects import (BY_KIND, BY_PLURAL, RESOURCES, ApiError, bad_request, details, expired, field_selector, forbidden, label_selector)
from .rbac import Rbac
from .store import Store

BODY_MAX_BYTES = 3 * 1024 * 1024
TRUE = ("1", "t", "T", "true", "TRUE", "True")  # what Go's ParseBool takes
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


class Cut(Exception):
    """The connection ends here, by order of a fault."""


class Pipe:
    """Writes to a connection, and cuts or splits on the way if a fault says so."""

    def __init__(self, raw):
        self.raw = raw
        self.left = None
        self.pieces = None

    def write(self, data):
        data = bytes(data)
        cut = self.left is not None and len(data) >= self.left
        if cut:
            data = data[:self.left]
        step = self.pieces or max(1, len(data))
        for at in range(0, len(data), step):
            self.raw.write(data[at:at + step])
        if cut:
            raise Cut
        if self.left is not None:
            self.left -= len(data)

    def flush(self):
        self.raw.flush()

    def close(self):
        self.raw.close()

    @property
    def closed(self):
        return self.raw.closed


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api = None  # the KubeApi, set by its subclass

    def setup(self):
        if self.api.down:
            self.request.close()
            raise ConnectionAbortedError
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(5)
            self.request.do_handshake()
            self.request.settimeout(None)
        super().setup()
        self.wfile = Pipe(self.wfile)
        with self.api.lock:
            self.api.connections.add(self.request)

    def finish(self):
        with self.api.lock:
            self.api.connections.discard(self.request)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.api.store.now(), usegmt=True)

    # --- answers ---

    def send(self, code, body, headers=(), content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.api.count(self.facts, code)
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_error_object(self, error):
        self.send(error.code, error.status(), [("Retry-After", str(error.retry_after))] if error.retry_after is not None else [])

    # --- one request ---

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, Cut, ValueError):
            self.close_connection = True

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.facts = {"path": self.path, "method": self.command, "verb": None, "resource": None, "user": None}
        self.wfile.left = self.wfile.pieces = None
        self.lost = False
        try:
            self.body = self.read_body()
            if url.path == "/_control":
                self.control()
            elif url.path.startswith("/_control/requests"):
                self.send(200, self.api.requests)
            else:
                self.serve(url.path)
        except ApiError as error:
            self.send_error_object(error)
        finally:
            self.wfile.left = self.wfile.pieces = None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def read_body(self):
        if self.headers.get("Transfer-Encoding"):
            raise ApiError(411, "", "this test server wants a Content-Length")
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX_BYTES:
            self.close_connection = True
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_MAX_BYTES}")
        return self.rfile.read(length)

    def serve(self, path):
        user, groups = self.authenticate()
        self.facts["user"] = user
        route = self.route(path)
        self.strike()
        if route is None:
            self.simple(path)
            return
        resource, namespace, name, subresource = route
        verb = self.facts["verb"]
        shown = f"{resource.plural}/{subresource}" if subresource else resource.plural
        if not self.api.rbac.allows(user, groups, verb, resource.group, shown, namespace, name):
            raise forbidden(resource, user, verb, namespace, name)
        if verb != "create" and "dryRun" in self.query:
            raise ApiError(501, "", "this test server knows dry runs of create only")
        getattr(self, "verb_" + verb)(resource, namespace, name, subresource)

    def authenticate(self):
        """The user's name and groups, as the real server finds them: client certificate, then bearer token, then basic."""
        if isinstance(self.request, ssl.SSLSocket):
            cert = self.request.getpeercert()
            if cert:
                parts = [pair for rdn in cert["subject"] for pair in rdn]
                names = [v for k, v in parts if k == "commonName"]
                return names[0] if names else "", [v for k, v in parts if k == "organizationName"]
        scheme, _, given = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and given.strip() in self.api.tokens:
            return self.api.tokens[given.strip()], ["system:authenticated"]
        if scheme.lower() == "basic":
            try:
                name, _, word = base64.b64decode(given).decode().partition(":")
            except ValueError:
                name, word = "", ""
            if name and self.api.passwords.get(name) == word:
                return name, ["system:authenticated"]
        if given or self.api.tokens or self.api.passwords or self.api.client_ca:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return "system:anonymous", ["system:unauthenticated"]

    def route(self, path):
        """(resource, namespace, name, subresource), or None for paths that are no resource; sets the verb."""
        parts = [urllib.parse.unquote(p) for p in path.strip("/").split("/")]
        if parts[0] == "api" and len(parts) > 2:
            group, version, rest = "", parts[1], parts[2:]
        elif parts[0] == "apis" and len(parts) > 3:
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        resource = BY_PLURAL.get((group, version, rest[0]))
        subresource = rest[2] if len(rest) > 2 else None
        if resource is None or len(rest) > 3 or subresource not in (None, "status"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        name = rest[1] if len(rest) > 1 else None
        watching = self.query.get("watch") in TRUE
        verbs = {"GET": "get" if name else "watch" if watching else "list", "POST": "create", "PUT": "update", "PATCH": "patch",
                 "DELETE": "delete" if name else "deletecollection"}
        verb = verbs[self.command]
        self.facts.update(verb=verb, resource=resource.plural, name=name, namespace=namespace)
        of_one = verb in ("get", "update", "patch", "delete")
        homeless = resource.namespaced and not namespace and (of_one or verb == "create")
        if verb == "deletecollection" or of_one != bool(name) or homeless:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details(resource, name))
        if verb == "create":
            self.facts["name"] = (self.json() if self.body else {}).get("metadata", {}).get("name")
        return resource, namespace, name, subresource

    def strike(self):
        for fault in self.api.faults.find(self.facts):
            spec = fault.spec
            time.sleep(spec.get("delay", 0))
            if spec.get("hang"):
                self.api.count(self.facts, 0)
                self.wait_until_gone()
                raise Cut
            if spec.get("close"):
                self.api.count(self.facts, 0)
                raise Cut
            if "body" in spec:
                self.send(200, spec["body"].encode())
                raise Cut
            error = fault.error(self.facts)
            if error:
                raise error
            if spec.get("lose_answer"):
                self.wfile.left = 0
            if "cut_after" in spec:
                self.wfile.left = spec["cut_after"]
            self.wfile.pieces = spec.get("pieces", self.wfile.pieces)

    def wait_until_gone(self):
        while not self.api.closed and not self.client_gone(0.05):
            pass

    def client_gone(self, seconds=0):
        """A client that waits for its answer sends nothing: what can be read is its end."""
        try:
            return bool(select.select([self.connection], [], [], seconds)[0])
        except (OSError, ValueError):
            return True

    def simple(self, path):
        if path in ("/healthz", "/livez", "/readyz"):
            self.send(200, b"ok", content_type="text/plain")
        elif path == "/version":
            self.send(200, {"major": "1", "minor": "28", "gitVersion": "v1.28.0", "platform": "linux/amd64"})
        elif path == "/api":
            self.send(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            groups = sorted({(r.group, r.version) for r in RESOURCES if r.group})
            self.send(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
                {"name": g, "versions": [{"groupVersion": f"{g}/{v}", "version": v}],
                 "preferredVersion": {"groupVersion": f"{g}/{v}", "version": v}} for g, v in groups]})
        else:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})

    def json(self):
        try:
            body = json.loads(self.body)
        except ValueError as error:
            raise bad_request(f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}") from None
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized: couldn't get version/kind; json parse error: not an object")
        return body

    def sent_object(self, resource):
        body = self.json()
        if (body.get("kind", resource.kind), body.get("apiVersion", resource.api_version)) != (resource.kind, resource.api_version):
            raise bad_request(f"{body.get('kind')} in version \"{body.get('apiVersion')}\" cannot be handled as a {resource.kind}: no kind "
                              f"\"{body.get('kind')}\" is registered for version \"{body.get('apiVersion')}\"")
        return body

    # --- verbs ---

    def verb_get(self, resource, namespace, name, subresource):
        self.send(200, self.api.store.get(resource, namespace, name))

    def dry_run(self):
        wanted = self.query.get("dryRun")
        if wanted not in (None, "All"):
            raise ApiError(422, "Invalid", f'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: "{wanted}": supported values: "All"')
        return wanted == "All"

    def verb_create(self, resource, namespace, name, subresource):
        self.send(201, self.api.store.create(resource, namespace, self.sent_object(resource), dry_run=self.dry_run()))

    def verb_update(self, resource, namespace, name, subresource):
        obj, new = self.api.store.update(resource, namespace, name, self.sent_object(resource), subresource)
        self.send(201 if new else 200, obj)

    def verb_patch(self, resource, namespace, name, subresource):
        kind = (self.headers.get("Content-Type") or "").split(";")[0]
        if kind not in PATCHES:
            raise ApiError(415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types include: "
                           + ", ".join(PATCHES))
        self.send(200, self.api.store.patch(resource, namespace, name, self.json(), subresource))

    def verb_delete(self, resource, namespace, name, subresource):
        options = self.json() if self.body else {}
        if "gracePeriodSeconds" in self.query:
            options["gracePeriodSeconds"] = int(self.query["gracePeriodSeconds"])
        if "propagationPolicy" in self.query:
            options["propagationPolicy"] = self.query["propagationPolicy"]
        obj, gone = self.api.store.delete(resource, namespace, name, options)
        if gone and resource.kind != "Pod":
            self.send(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                            "details": details(resource, name, uid=obj["metadata"]["uid"])})
        else:
            self.send(200, obj)

    def selection(self, resource, name=None):
        by_label = label_selector(self.query.get("labelSelector", ""))
        by_field = field_selector(resource, self.query.get("fieldSelector", ""))
        return lambda obj: by_label(obj) and by_field(obj)

    def number(self, name):
        text = self.query.get(name) or "0"
        if not text.isdigit():
            raise bad_request(f'strconv.ParseUint: parsing "{text}": invalid syntax ({name})')
        return int(text)

    def verb_list(self, resource, namespace, name, subresource):
        token = self.query.get("continue")
        wanted = self.number("resourceVersion")
        if token and wanted:
            raise bad_request("specifying resource version is not allowed when using continue")
        exact = wanted if self.query.get("resourceVersionMatch") == "Exact" else None
        if exact is None and wanted > self.api.store.version:
            exact = wanted  # too large: let the store say so
        items, version, more, rest = self.api.store.list(resource, namespace, self.selection(resource), self.number("limit"), token, exact)
        meta = {"resourceVersion": str(version)}
        if more:
            meta["continue"] = more
            if not self.query.get("labelSelector") and not self.query.get("fieldSelector"):
                meta["remainingItemCount"] = rest
        # Items of a list do not say their kind.
        bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        self.send(200, {"kind": resource.kind + "List", "apiVersion": resource.api_version, "metadata": meta, "items": bare})

    # --- watch ---

    def chunk(self, event):
        data = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.flush()

    def verb_watch(self, resource, namespace, name, subresource):
        store, api = self.api.store, self.api
        matches = self.selection(resource)
        version = self.number("resourceVersion")
        bookmarks = self.query.get("allowWatchBookmarks") in TRUE
        timeout = self.number("timeoutSeconds") or 1800
        with api.lock:
            epoch = api.watch_epoch
        error = None
        first = []
        if version == 0:
            items, version, _, _ = store.list(resource, namespace, matches)
            first = [("ADDED", item) for item in items]
        else:
            try:
                store.events_after(version, resource, namespace, matches)
            except ApiError as old:
                if api.gone_as_status:
                    raise
                error = old  # the real server says it inside of a good answer
        api.count(self.facts, 200)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            if error is None:
                for kind, obj in first:
                    self.chunk({"type": kind, "object": obj})
                error = self.follow(resource, namespace, matches, version, bookmarks, timeout, epoch)
            if error is not None:
                self.chunk({"type": "ERROR", "object": error.status()})
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, Cut):
            self.close_connection = True

    def follow(self, resource, namespace, matches, version, bookmarks, timeout, epoch):
        """Sends events until the time is over or the client gone; an error that ends the watch, or None."""
        store, api = self.api.store, self.api
        end = time.monotonic() + timeout
        next_bookmark = time.monotonic() + api.bookmark_seconds
        while True:
            try:
                events, seen = store.events_after(version, resource, namespace, matches)
            except ApiError as error:
                return error
            for kind, obj in events:
                self.chunk({"type": kind, "object": obj})
            version = seen
            now = time.monotonic()
            if bookmarks and (now >= next_bookmark or now >= end):
                self.chunk({"type": "BOOKMARK", "object": {
                    "kind": resource.kind, "apiVersion": resource.api_version,
                    "metadata": {"resourceVersion": str(version), "creationTimestamp": None}}})
                next_bookmark = now + api.bookmark_seconds
            if now >= end:
                return None
            if api.watch_epoch != epoch:
                if api.watch_end == "expire":
                    return expired(f"too old resource version: {version} ({store.version})")
                raise Cut
            if api.closed or self.client_gone():
                raise Cut
            with store.lock:
                if store.version == version and api.watch_epoch == epoch and not store.closed:
                    store.changed.wait(min(0.1, end - now, max(0.001, next_bookmark - now) if bookmarks else 0.1))

    # --- the door for tests ---

    def control(self):
        try:
            answer = self.api.control(self.json())
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request(f"control: {error}") from None
        self.send(200, answer)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    tls = None

    def get_request(self):
        sock, address = super().get_request()
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        return sock, address

    def handle_error(self, request, client_address):
        pass  # connections that break are what this server is for


class KubeApi:
    def __init__(self, port=0, cert=None, key=None, client_ca=None, tokens=None, passwords=None, bookmark_seconds=60.0, gc_seconds=0.02,
                 kubelet_seconds=0.05):
        """tokens: bearer token -> user name; passwords: user name -> password (basic). With neither, nor a client CA, nobody is asked who
        they are."""
        self.store = Store(gc_seconds, kubelet_seconds)
        self.faults, self.rbac = Faults(), Rbac()
        self.tokens, self.passwords, self.client_ca = dict(tokens or {}), dict(passwords or {}), client_ca
        self.bookmark_seconds = bookmark_seconds
        self.gone_as_status = False
        self.cert, self.key = cert, key
        self.lock = threading.Lock()
        self.connections = set()
        self.requests = []  # what was asked, in order
        self.watch_epoch, self.watch_end = 0, None
        self.down = self.closed = False
        self.server = None
        self.port = port
        self.listen()

    def listen(self):
        handler = type("BoundHandler", (Handler,), {"api": self})
        self.server = Server(("127.0.0.1", self.port), handler)
        if self.cert:
            self.server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.tls.load_cert_chain(self.cert, self.key)
            if self.client_ca:
                self.server.tls.load_verify_locations(self.client_ca)
                self.server.tls.verify_mode = ssl.CERT_OPTIONAL
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"{'https' if self.cert else 'http'}://127.0.0.1:{self.port}"

    def stop_listening(self):
        """From now on connections are refused; those there are end. listen() brings it back on the same port."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        self.cut_connections()

    def cut_connections(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.closed = True
        self.stop_listening()
        self.store.close()

    def count(self, facts, code):
        with self.lock:
            self.requests.append({**facts, "code": code, "at": time.monotonic()})

    def asked(self, **facts):
        """How many requests had these facts (verb="update", resource="leases", ...)."""
        with self.lock:
            return sum(all(r.get(k) == v for k, v in facts.items()) for r in self.requests)

    # --- what tests do to it; the same over /_control ---

    def put(self, obj):
        """Makes or replaces an object (with its status), whoever may; makes its namespace."""
        resource = BY_KIND[obj["kind"]]
        namespace = obj["metadata"].get("namespace", "default") if resource.namespaced else ""
        name = obj["metadata"]["name"]
        with self.store.lock:
            if namespace and ("namespaces", "", namespace) not in self.store.objects:
                self.store.create(BY_KIND["Namespace"], "", {"metadata": {"name": namespace}})
            old = self.store.objects.get((resource.plural, namespace, name))
            if old is None:
                made = self.store.create(resource, namespace, obj)
            else:
                body = {**obj, "metadata": {**obj["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]}}
                made = self.store.update(resource, namespace, name, body)[0]
            if "status" in obj:
                body = {**obj, "metadata": {**obj["metadata"], "resourceVersion": made["metadata"]["resourceVersion"]}}
                made = self.store.update(resource, namespace, name, body, "status")[0]
            return made

    def get(self, kind, name, namespace="default"):
        resource = BY_KIND[kind]
        return self.store.objects.get((resource.plural, namespace if resource.namespaced else "", name))

    def remove(self, kind, name, namespace="default", **options):
        resource = BY_KIND[kind]
        return self.store.delete(resource, namespace if resource.namespaced else "", name, options)[0]

    def fault(self, **spec):
        return self.faults.add(spec)

    def heal(self):
        """Ends all faults, also `down` and the paused garbage collector."""
        self.faults.clear()
        self.down = False
        self.store.pause_gc(False)

    def go_down(self):
        """Whoever connects is hung up on."""
        self.down = True
        self.cut_connections()

    def end_watches(self, how="cut"):
        """cut: the connections break; expire: a last event says 410."""
        with self.lock:
            self.watch_end = how
            self.watch_epoch += 1
        with self.store.lock:
            self.store.changed.notify_all()

    def control(self, order):
        """One order, {"what": ..., arguments}; see README.md beside this package."""
        what = order.pop("what", None)
        if what == "put":
            return self.put(order["object"])
        if what == "remove":
            return self.remove(**order)
        if what == "fault":
            self.fault(**order)
        elif what == "heal":
            self.heal()
        elif what == "down":
            threading.Timer(0.01, self.go_down).start()
        elif what == "watches":
            self.end_watches(order.get("how", "cut"))
        elif what == "compact":
            self.store.compact()
        elif what == "clock":
            self.store.clock_offset = float(order["offset"])
        elif what == "gc":
            self.store.pause_gc(bool(order["paused"]))
        elif what == "set":
            for name in order:
                if name not in ("bookmark_seconds", "gone_as_status"):
                    raise ValueError(f"no setting {name}")
                setattr(self, name, order[name])
        elif what == "token":
            self.tokens[order["token"]] = order["user"]
        elif what == "revoke":
            self.tokens.pop(order["token"], None)
        elif what == "bind":
            self.rbac.bind(order["user"], order["rules"], order.get("namespace"))
        elif what == "unbind":
            self.rbac.clear()
        else:
            raise ValueError(f"no order {what!r}")
        return {"done": what}
