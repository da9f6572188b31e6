#include "json.h"

#include <string.h>

#include "base/mem.h"

json_t *test_json(const char *text)
{
    char *copy = mem_dup(text, strlen(text) + 1);
    json_error_t error;
    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    json_t *doc = json_loads(copy, JSON_REJECT_DUPLICATES, &error);
    mem_free(copy);
    if (doc == NULL) {
        fail_msg("%s: %s", text, error.text);
    }
    return doc;
}
