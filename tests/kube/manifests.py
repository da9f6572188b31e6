"""Reads the manifests as Helm and kustomize would: the part of both that ours use, and nothing silently else."""
import json
import pathlib
import re

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"


# --- Helm's templates: values, if/else/end, range over a map, with, eq, ne, not, quote, toYaml, nindent ---

TAG = re.compile(r"(\s*)\{\{(-?)\s*(.*?)\s*(-?)\}\}(\s*)", re.S)


def tokens(text):
    at = 0
    for m in TAG.finditer(text):
        before, left, code, right, after = m.groups()
        yield "text", text[at:m.start()] + ("" if left else before)
        yield "code", code
        if right:
            at = m.end()
        else:
            at = m.end() - len(after)
    yield "text", text[at:]


def parse(stream):
    """A list of nodes up to `end` or `else`; and which of them ended it."""
    nodes = []
    for kind, text in stream:
        if kind == "text":
            nodes.append(("text", text))
            continue
        word = text.split()[0]
        if word in ("end", "else"):
            return nodes, word
        if word in ("if", "range", "with"):
            inner, ended = parse(stream)
            other = []
            if ended == "else":
                other, ended = parse(stream)
            assert ended == "end", f"{text} without end"
            nodes.append((word, text[len(word):].strip(), inner, other))
        else:
            nodes.append(("value", text))
    return nodes, None


def go_text(value):
    return "true" if value is True else "false" if value is False else "" if value is None else str(value)


class Renderer:
    def __init__(self, values, release):
        self.root = {"Values": values, "Release": {"Name": release}}

    def atom(self, text, scope):
        if text.startswith('"'):
            return json.loads(text)
        if text.startswith("$"):
            return scope[text]
        assert text.startswith("."), f"not understood: {text}"
        if text == ".":
            return scope["."]
        found = self.root
        for step in text[1:].split("."):
            assert step in found, f"{text}: there is no {step} in the values"
            found = found[step]
        return found

    def value(self, text, scope):
        first, *filters = [part.strip() for part in text.split("|")]
        words = first.split()
        if words[0] in ("eq", "ne"):
            same = self.atom(words[1], scope) == self.atom(words[2], scope)
            result = same == (words[0] == "eq")
        elif words[0] == "not":
            result = not self.atom(words[1], scope)
        elif words[0] == "toYaml":
            result = yaml.safe_dump(self.atom(words[1], scope)).rstrip("\n")
        else:
            assert len(words) == 1, f"not understood: {text}"
            result = self.atom(words[0], scope)
        for name in filters:
            if name == "quote":
                result = json.dumps(go_text(result))
            elif name.startswith("nindent "):
                pad = " " * int(name.split()[1])
                result = "\n" + "\n".join(pad + line for line in result.splitlines())
            else:
                raise AssertionError(f"not understood: {name}")
        return result

    def render(self, nodes, scope):
        out = []
        for node in nodes:
            if node[0] == "text":
                out.append(node[1])
            elif node[0] == "value":
                out.append(go_text(self.value(node[1], scope)))
            elif node[0] == "if":
                out.append(self.render(node[2] if self.value(node[1], scope) else node[3], scope))
            elif node[0] == "with":
                value = self.value(node[1], scope)
                out.append(self.render(node[2] if value else node[3], {**scope, ".": value}))
            else:
                names, source = node[1].split(":=")
                key, item = [n.strip() for n in names.split(",")]
                for k, v in sorted(self.value(source.strip(), scope).items()):
                    out.append(self.render(node[2], {**scope, key: k, item: v}))
        return "".join(out)


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{k: merged(base.get(k), v) for k, v in over.items()}}


def chart(values=None, release="elections"):
    """The chart's objects with these values over its own."""
    home = DEPLOY / "helm/election-agent"
    renderer = Renderer(merged(yaml.safe_load((home / "values.yaml").read_text()), values or {}), release)
    objects = []
    for template in sorted((home / "templates").glob("*.yaml")):
        nodes, ended = parse(tokens(template.read_text()))
        assert ended is None, f"{template.name}: {ended} without a beginning"
        objects += [o for o in yaml.safe_load_all(renderer.render(nodes, {".": None})) if o]
    return objects


# --- kustomize: resources, and strategic merge patches of lists that are keyed by name ---

def patched(base, patch):
    if isinstance(base, dict) and isinstance(patch, dict):
        result = dict(base)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = patched(result.get(key), value)
        return result
    if isinstance(base, list) and isinstance(patch, list) and all(isinstance(i, dict) and "name" in i for i in base + patch):
        by_name = {item["name"]: item for item in base}
        for item in patch:
            by_name[item["name"]] = patched(by_name.get(item["name"]), item)
        return list(by_name.values())
    if isinstance(patch, dict):
        return {k: v for k, v in patch.items() if v is not None}
    return patch


def kustomized(directory):
    spec = yaml.safe_load((directory / "kustomization.yaml").read_text())
    unknown = set(spec) - {"apiVersion", "kind", "resources", "patches", "images"}
    assert spec["kind"] == "Kustomization" and not unknown, unknown
    objects = []
    for name in spec.get("resources", []):
        path = (directory / name).resolve()
        objects += kustomized(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for patch in spec.get("patches", []):
        change = yaml.safe_load((directory / patch["path"]).read_text())
        found = [i for i, o in enumerate(objects) if (o["kind"], o["metadata"]["name"]) == (change["kind"], change["metadata"]["name"])]
        assert len(found) == 1, f"{patch['path']} meets {len(found)} objects"
        objects[found[0]] = patched(objects[found[0]], change)
    for image in spec.get("images", []):
        for container in (c for o in objects for c in containers(o)):
            if container["image"] == image["name"]:
                container["image"] += ":" + image["newTag"]
    return objects


def containers(obj):
    return obj.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
