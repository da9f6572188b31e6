"""What the API server knows of objects: kinds and paths, names, labels, selectors, validation, and the words of its answers.

The words are those of kube-apiserver, since clients show them to people and some decide by `reason`.
"""
import re

DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
LABEL_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
# Kubernetes reads a MicroTime with exactly six digits and a Time with none or more; both are RFC 3339.
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")


class Resource:
    def __init__(self, group, version, plural, kind, namespaced=True, fields=(), create_on_update=False, unconditional=True):
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.namespaced = namespaced
        self.fields = {"metadata.name", "metadata.namespace", *fields}
        self.create_on_update = create_on_update
        self.unconditional = unconditional  # an update may come without a resourceVersion

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self):
        """As error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self):
        return f"{self.kind}.{self.group}" if self.group else self.kind


RESOURCES = [
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("", "v1", "pods", "Pod", fields=("status.phase", "status.podIP", "spec.nodeName")),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "replicasets", "ReplicaSet", fields=("status.replicas",)),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", create_on_update=True, unconditional=False),
]
BY_PLURAL = {(r.group, r.version, r.plural): r for r in RESOURCES}
BY_KIND = {r.kind: r for r in RESOURCES}


class ApiError(Exception):
    """An answer that is a Status object."""

    def __init__(self, code, reason, message, details=None, retry_after=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.retry_after = retry_after
        if retry_after is not None:
            self.details = {**(details or {}), "retryAfterSeconds": retry_after}

    def status(self):
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        body["code"] = self.code
        return body


def details(resource, name=None, **more):
    found = {"name": name, "group": resource.group, "kind": resource.plural, **more}
    return {k: v for k, v in found.items() if v}


def not_found(resource, name):
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', details(resource, name))


def already_exists(resource, name):
    return ApiError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', details(resource, name))


def conflict(resource, name, why=None):
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}', details(resource, name))


def expired(message):
    return ApiError(410, "Expired", message)


def bad_request(message):
    return ApiError(400, "BadRequest", message)


def invalid(resource, name, causes):
    """causes: (field, reason, message)."""
    said = [f"{field}: {message}" for field, _, message in causes]
    joined = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    return ApiError(422, "Invalid", f'{resource.qualified_kind} "{name}" is invalid: {joined}', {
        **details(resource, name), "kind": resource.kind,
        "causes": [{"reason": r, "message": m, "field": f} for f, r, m in causes]})


def forbidden(resource, user, verb, namespace, name):
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    named = f'{resource.qualified} "{name}"' if name else resource.qualified
    return ApiError(403, "Forbidden", f'{named} is forbidden: User "{user}" cannot {verb} resource "{resource.plural}" in API group '
                    f'"{resource.group}" {where}', details(resource, name))


# --- validation ---

def invalid_value(field, value, message):
    return field, "FieldValueInvalid", f'Invalid value: "{value}": {message}'


def check_name(name, field):
    if len(name) > 253:
        return [invalid_value(field, name, "must be no more than 253 characters")]
    if not re.fullmatch(DNS_SUBDOMAIN, name):
        return [invalid_value(
            field, name, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
            f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{DNS_SUBDOMAIN}')")]
    return []


def check_key(key, field):
    prefix, slash, rest = key.rpartition("/")
    if (slash and not re.fullmatch(DNS_SUBDOMAIN, prefix)) or not re.fullmatch(LABEL_PART, rest) or len(rest) > 63:
        return [invalid_value(field, key, "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
                              "alphanumeric character")]
    return []


def check_labels(labels, field):
    causes = []
    for key, value in labels.items():
        causes += check_key(key, field)
        if value and (len(value) > 63 or not re.fullmatch(LABEL_PART, value)):
            causes.append(invalid_value(field, value, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
                                        "'.', and must start and end with an alphanumeric character"))
    return causes


def check_owners(owners):
    causes = []
    for i, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                causes.append((f"metadata.ownerReferences[{i}].{field}", "FieldValueInvalid", f'Invalid value: "": {field} must not be empty'))
    if sum(bool(o.get("controller")) for o in owners) > 1:
        causes.append(("metadata.ownerReferences", "FieldValueInvalid", "Invalid value: Only one reference can have Controller set to true"))
    return causes


def check_lease(spec):
    causes = []
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and duration <= 0:
        causes.append(("spec.leaseDurationSeconds", "FieldValueInvalid", f"Invalid value: {duration}: must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(("spec.leaseTransitions", "FieldValueInvalid", f"Invalid value: {transitions}: must be greater than or equal to 0"))
    return causes


LEASE_TYPES = {"holderIdentity": str, "leaseDurationSeconds": int, "leaseTransitions": int, "acquireTime": str, "renewTime": str}


def check_types(resource, obj):
    """What the decoder refuses before validation looks: wrong JSON types, broken times."""
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        raise bad_request("the object provided is unrecognized (must be of type " + resource.kind + ")")
    for field, kind in (("labels", dict), ("annotations", dict), ("ownerReferences", list), ("finalizers", list), ("name", str)):
        if meta.get(field) is not None and not isinstance(meta[field], kind):
            raise bad_request(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: cannot unmarshal '
                              f"into Go struct field ObjectMeta.metadata.{field}")
    if resource.kind != "Lease":
        return
    for field, kind in LEASE_TYPES.items():
        value = (obj.get("spec") or {}).get(field)
        if value is None:
            continue
        why = None
        if not isinstance(value, kind) or isinstance(value, bool):
            why = f"json: cannot unmarshal into Go struct field LeaseSpec.spec.{field} of type {kind.__name__}"
        elif kind is int and not -2**31 <= value < 2**31:
            why = f"json: cannot unmarshal number {value} into Go struct field LeaseSpec.spec.{field} of type int32"
        elif field.endswith("Time") and not MICRO_TIME.match(value):
            why = f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{value}"'
        if why:
            raise bad_request(f'Lease in version "v1" cannot be handled as a Lease: {why}')


def validate(resource, obj):
    meta = obj["metadata"]
    causes = check_name(meta.get("name", ""), "metadata.name")
    causes += check_labels(meta.get("labels") or {}, "metadata.labels")
    for key in meta.get("annotations") or {}:
        causes += check_key(key.lower(), "metadata.annotations")
    causes += check_owners(meta.get("ownerReferences") or [])
    if resource.kind == "Lease":
        causes += check_lease(obj.get("spec") or {})
    if causes:
        raise invalid(resource, meta.get("name", ""), causes)


# --- selectors ---

REQUIREMENT = re.compile(
    r"\s*(?:(?P<no>!)\s*(?P<nokey>[^\s=!,()]+)|(?P<key>[^\s=!,()]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[^\s=!,()]*)"
    r"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)")


def label_selector(text):
    """Reads a label selector; returns a function of an object."""
    tests, at = [], 0
    while at < len(text):
        m = REQUIREMENT.match(text, at)
        if not m:
            raise bad_request(f"unable to parse requirement: found '{text[at:]}', expected: ',' or 'end of string'")
        at = m.end()
        key = m["nokey"] or m["key"]
        if check_key(key, ""):
            raise bad_request(f'unable to parse requirement: key: Invalid value: "{key}": name part must consist of alphanumeric characters')
        if m["no"]:
            tests.append(lambda labels, k=key: k not in labels)
        elif m["set"]:
            values = {v.strip() for v in m["values"].split(",")}
            if m["set"] == "in":
                tests.append(lambda labels, k=key, v=values: k in labels and labels[k] in v)
            else:
                tests.append(lambda labels, k=key, v=values: k not in labels or labels[k] not in v)
        elif m["op"] == "!=":
            tests.append(lambda labels, k=key, v=m["value"]: labels.get(k) != v)
        elif m["op"]:
            tests.append(lambda labels, k=key, v=m["value"]: labels.get(k) == v)
        else:
            tests.append(lambda labels, k=key: k in labels)
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def field_selector(resource, text):
    tests = []
    for part in filter(None, text.split(",")):
        m = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)\s*([^=!]*?)\s*", part)
        if not m:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        field, op, value = m.groups()
        if field not in resource.fields:
            raise bad_request(f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match label selector "", field selector '
                              f'"{text}": field label not supported: {field}')
        tests.append((field.split("."), op != "!=", value))

    def look(obj, path):
        for step in path:
            obj = (obj or {}).get(step)
        return "" if obj is None else str(obj)

    return lambda obj: all((look(obj, path) == value) == equal for path, equal, value in tests)
