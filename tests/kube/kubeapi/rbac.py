"""Who may do what: RBAC's PolicyRules, per user. Without any rule for anybody, everybody may do everything."""


class Rbac:
    def __init__(self):
        self.bindings = []  # (user, namespace or None for all, rules)

    def bind(self, user, rules, namespace=None):
        """rules: as in a Role: [{apiGroups, resources, verbs, resourceNames?}]."""
        self.bindings.append((user, namespace, rules))

    def clear(self):
        self.bindings.clear()

    def allows(self, user, groups, verb, group, resource, namespace, name):
        if not self.bindings or "system:masters" in groups:
            return True
        for who, where, rules in self.bindings:
            if who == user and (where is None or where == namespace):
                if any(self._rule_allows(rule, verb, group, resource, name) for rule in rules):
                    return True
        return False

    @staticmethod
    def _rule_allows(rule, verb, group, resource, name):
        def has(field, value):
            return "*" in rule.get(field, []) or value in rule.get(field, [])

        # A name in a rule never matches a request that names nothing: create, and list or watch of all.
        named = not rule.get("resourceNames") or name in rule["resourceNames"]
        return has("verbs", verb) and has("apiGroups", group) and has("resources", resource) and named
