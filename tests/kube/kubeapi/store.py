"""The objects: versions, history, pages, garbage collection. Thread-safe; knows nothing of HTTP.

Objects are never changed in place: every write makes a new one, so what was handed out stays as it was.
"""
import base64
import copy
import json
import threading
import time
import uuid

from .objects import (BY_KIND, ApiError, already_exists, bad_request, check_types, conflict, expired, invalid, not_found, validate)


def stamp(seconds, micro=False):
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{int(seconds % 1 * 1e6):06d}Z" if micro else text + "Z"


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


class Event:
    __slots__ = ("version", "type", "resource", "key", "obj", "before")

    def __init__(self, version, type_, resource, key, obj, before):
        self.version, self.type, self.resource, self.key, self.obj, self.before = version, type_, resource, key, obj, before


class Store:
    def __init__(self, gc_seconds=0.02, kubelet_seconds=0.05):
        """kubelet_seconds: how long a deleted pod that was on a node takes to go (None: for ever)."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 1000
        self.compacted = 0  # versions up to here are forgotten
        self.objects = {}   # (plural, namespace, name) -> object
        self.history = []
        self.clock_offset = 0.0
        self.gc_seconds, self.kubelet_seconds = gc_seconds, kubelet_seconds
        self.gc_paused = False
        self.closed = False
        self.gc_wanted = threading.Event()
        self.later = []  # (when, key, uid): pods whose kubelet will be done
        self.worker = threading.Thread(target=self._work, daemon=True)
        self.worker.start()
        for name in ("default", "kube-system"):
            self.create(BY_KIND["Namespace"], "", {"metadata": {"name": name}})

    def close(self):
        self.closed = True
        self.gc_wanted.set()
        self.worker.join()
        with self.lock:
            self.changed.notify_all()

    def now(self):
        return time.time() + self.clock_offset

    # --- writes ---

    def _commit(self, type_, resource, key, obj, before):
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        if type_ == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        self.history.append(Event(self.version, type_, resource, key, obj, before))
        self.changed.notify_all()
        self.gc_wanted.set()
        return obj

    def create(self, resource, namespace, body, dry_run=False):
        check_types(resource, body)
        obj = copy.deepcopy(body)
        obj.pop("status", None)  # it has its own door
        meta = obj["metadata"]
        name = meta.get("name") or ""
        if not name:
            raise invalid(resource, "", [("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")])
        if meta.get("resourceVersion"):
            raise ApiError(500, "InternalError", "Internal error occurred: resourceVersion should not be set on objects to be created")
        if resource.namespaced and meta.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        validate(resource, obj)
        key = (resource.plural, namespace, name)
        with self.lock:
            if resource.namespaced and ("namespaces", "", namespace) not in self.objects:
                raise not_found(BY_KIND["Namespace"], namespace)
            if key in self.objects:
                raise already_exists(resource, name)
            obj = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
            for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
                meta.pop(field, None)
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=stamp(self.now()))
            if resource.kind in ("Deployment", "ReplicaSet"):
                meta["generation"] = 1
            return obj if dry_run else self._commit("ADDED", resource, key, obj, None)

    def get(self, resource, namespace, name):
        with self.lock:
            obj = self.objects.get((resource.plural, namespace, name))
            if obj is None:
                raise not_found(resource, name)
            return obj

    def update(self, resource, namespace, name, body, subresource=None):
        """Returns (object, whether it is new)."""
        check_types(resource, body)
        meta = body["metadata"]
        if meta.get("name") != name:
            raise bad_request(f"the name of the object ({meta.get('name', '')}) does not match the name on the URL ({name})")
        if resource.namespaced and meta.get("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        with self.lock:
            key = (resource.plural, namespace, name)
            old = self.objects.get(key)
            wanted = meta.get("resourceVersion")
            if old is None:
                if not resource.create_on_update or subresource:
                    raise not_found(resource, name)
                if meta.get("uid"):
                    raise conflict(resource, name, f"StorageError: invalid object, Code: 4, Key: {name}, ResourceVersion: 0, AdditionalErrorMsg: "
                                   f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: ")
                body = copy.deepcopy(body)
                body["metadata"].pop("resourceVersion", None)
                return self.create(resource, namespace, body), True
            if not wanted and not resource.unconditional:
                raise invalid(resource, name, [("metadata.resourceVersion", "FieldValueInvalid",
                                                "Invalid value: 0x0: must be specified for an update")])
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise conflict(resource, name)
            if meta.get("uid") and meta["uid"] != old["metadata"]["uid"]:
                raise conflict(resource, name, f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: "
                               f"{old['metadata']['uid']}")
            return self._replace(resource, key, old, body, subresource), False

    def _replace(self, resource, key, old, body, subresource):
        if subresource == "status":  # only the status of what was sent counts
            obj = {**copy.deepcopy(old), "status": copy.deepcopy(body.get("status") or {})}
        else:
            obj = {"kind": resource.kind, "apiVersion": resource.api_version, **copy.deepcopy(body)}
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = copy.deepcopy(old["status"])
        kept = old["metadata"]
        for field in ("uid", "creationTimestamp", "namespace", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
            obj["metadata"].pop(field, None)
            if field in kept:
                obj["metadata"][field] = kept[field]
        validate(resource, obj)
        obj["metadata"]["resourceVersion"] = kept["resourceVersion"]
        if obj == old:
            return old  # nothing changes, no new version: as the real one
        if "generation" in kept and obj.get("spec") != old.get("spec"):
            obj["metadata"]["generation"] = kept["generation"] + 1
        if kept.get("deletionTimestamp") and not obj["metadata"].get("finalizers") and resource.kind != "Pod":
            return self._commit("DELETED", resource, key, obj, old)
        return self._commit("MODIFIED", resource, key, obj, old)

    def patch(self, resource, namespace, name, patch, subresource=None):
        with self.lock:
            old = self.get(resource, namespace, name)
            body = merge(copy.deepcopy(old), patch)
            if not isinstance(body, dict):
                raise bad_request("the patch is not an object")
            wanted = ((patch.get("metadata") or {}).get("resourceVersion")) or old["metadata"]["resourceVersion"]
            body["metadata"]["resourceVersion"] = wanted
            return self.update(resource, namespace, name, body, subresource)[0]

    def delete(self, resource, namespace, name, options=None):
        """Returns (object as it last was, whether it is gone already)."""
        options = options or {}
        with self.lock:
            key = (resource.plural, namespace, name)
            old = self.get(resource, namespace, name)
            for field, words in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
                wanted = (options.get("preconditions") or {}).get(field)
                if wanted and wanted != old["metadata"][field]:
                    raise conflict(resource, name, f"Precondition failed: {words} in precondition: {wanted}, {words} in object meta: "
                                   f"{old['metadata'][field]}")
            obj = copy.deepcopy(old)
            grace = options.get("gracePeriodSeconds")
            if resource.kind == "Pod" and (old.get("spec") or {}).get("nodeName") and grace != 0:
                if not old["metadata"].get("deletionTimestamp"):
                    grace = 30 if grace is None else grace
                    obj["metadata"].update(deletionTimestamp=stamp(self.now() + grace), deletionGracePeriodSeconds=grace)
                    obj = self._commit("MODIFIED", resource, key, obj, old)
                if self.kubelet_seconds is not None:
                    self.later.append((time.monotonic() + self.kubelet_seconds, key, obj["metadata"]["uid"]))
                    self.gc_wanted.set()
                return obj, False
            if old["metadata"].get("finalizers"):
                if not old["metadata"].get("deletionTimestamp"):
                    obj["metadata"].update(deletionTimestamp=stamp(self.now()), deletionGracePeriodSeconds=0)
                    obj = self._commit("MODIFIED", resource, key, obj, old)
                return obj, False
            if options.get("propagationPolicy") == "Orphan":
                self._orphan(old["metadata"]["uid"])
            return self._commit("DELETED", resource, key, obj, old), True

    # --- garbage collection, and pods that end ---

    def _orphan(self, uid):
        for key, obj in list(self.objects.items()):
            owners = obj["metadata"].get("ownerReferences") or []
            if any(o["uid"] == uid for o in owners):
                new = copy.deepcopy(obj)
                new["metadata"]["ownerReferences"] = [o for o in owners if o["uid"] != uid]
                self._commit("MODIFIED", BY_KIND[obj["kind"]], key, new, obj)

    def _orphans(self):
        """Objects whose owners are all gone. An owner counts in its dependent's namespace only, or cluster-wide."""
        living = {(o["metadata"].get("namespace", ""), o["metadata"]["uid"]) for o in self.objects.values()}
        for key, obj in self.objects.items():
            owners = obj["metadata"].get("ownerReferences")
            if owners and not any((key[1], o["uid"]) in living or ("", o["uid"]) in living for o in owners):
                yield key, obj

    def _work(self):
        while not self.closed:
            wait = None
            with self.lock:
                if self.later:
                    wait = max(0, min(at for at, _, _ in self.later) - time.monotonic())
            self.gc_wanted.wait(wait)
            self.gc_wanted.clear()
            if self.closed:
                return
            with self.lock:
                done = [entry for entry in self.later if entry[0] <= time.monotonic()]
                for entry in done:
                    self.later.remove(entry)
                    self._remove(entry[1], entry[2])
                doomed = [] if self.gc_paused else [(k, o["metadata"]["uid"]) for k, o in self._orphans()]
            if doomed:
                time.sleep(self.gc_seconds)
                with self.lock:
                    still = {(k, o["metadata"]["uid"]) for k, o in self._orphans()}
                    for key, uid in doomed:
                        if (key, uid) in still and not self.gc_paused:
                            self._remove(key, uid)

    def _remove(self, key, uid):
        obj = self.objects.get(key)
        if obj is not None and obj["metadata"]["uid"] == uid:
            try:
                self.delete(BY_KIND[obj["kind"]], key[1], key[2], {"gracePeriodSeconds": 0})
            except ApiError:
                pass  # it went by itself

    def pause_gc(self, paused):
        self.gc_paused = paused
        self.gc_wanted.set()

    # --- reads ---

    def compact(self):
        """Forgets the history: watches from older versions and old pages are 410 Gone from now on."""
        with self.lock:
            self.compacted = self.version
            self.history.clear()
            self.changed.notify_all()

    def _at(self, version):
        """The objects as they were at a version."""
        objects = dict(self.objects)
        for event in reversed(self.history):
            if event.version <= version:
                break
            if event.before is None:
                objects.pop(event.key, None)
            else:
                objects[event.key] = event.before
        return objects

    def list(self, resource, namespace, matches, limit=0, token=None, exact=None):
        """Returns (objects, version, continue token, how many remain)."""
        with self.lock:
            version, after = exact or self.version, None
            if token:
                try:
                    read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
                    version, after = int(read["rv"]), tuple(read["start"])
                except (ValueError, KeyError, TypeError):
                    raise bad_request("continue key is not valid") from None
            if version < self.compacted:
                if token:
                    raise expired("The provided continue parameter is too old to display a consistent list result. You can start a new list "
                                  "without the continue parameter.")
                raise expired(f"too old resource version: {version} ({self.compacted})")
            if version > self.version:
                raise ApiError(504, "Timeout", f"Too large resource version: {version}, current: {self.version}",
                               {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1})
            found = sorted((k[1:], o) for k, o in self._at(version).items()
                           if k[0] == resource.plural and (not namespace or k[1] == namespace) and matches(o))
        if after:
            found = [item for item in found if item[0] > after]
        page = found[:limit] if limit else found
        rest = len(found) - len(page)
        next_token = None
        if rest:
            text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": page[-1][0]})
            next_token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return [o for _, o in page], version, next_token, rest

    def events_after(self, version, resource, namespace, matches):
        """What a watcher that has seen `version` sees next: [(type, object)], and the version it has then seen. 410 when forgotten."""
        with self.lock:
            if version < self.compacted:
                raise expired(f"too old resource version: {version} ({self.compacted})")
            seen = []
            first = len(self.history)
            while first > 0 and self.history[first - 1].version > version:
                first -= 1
            for event in self.history[first:]:
                if event.resource is not resource or (namespace and event.key[1] != namespace):
                    continue
                was = event.before is not None and matches(event.before)
                is_ = event.type != "DELETED" and matches(event.obj)
                if is_:
                    seen.append(("MODIFIED" if was else "ADDED", event.obj))
                elif was:
                    last = event.obj
                    if event.type != "DELETED":  # it left the selection: its old self, with the new version
                        last = {**event.before, "metadata": {**event.before["metadata"], "resourceVersion": str(event.version)}}
                    seen.append(("DELETED", last))
            return seen, self.version
