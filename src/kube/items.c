/*
 *              '[' behind the key "items"                 '{'
 *   shell ──────────────────────────────────► between ◄────────► in an object
 *         ◄──────────────────────────────────
 *                          ']'
 *
 * Only brackets and strings are followed here; whether it is JSON is said by jansson, of each object and of the shell.
 */
#include "kube/items.h"

#include <assert.h>
#include <string.h>

#define OUTERMOST 1 /* depth inside the document's own braces */
#define BETWEEN   2 /* depth inside the array of items */

void kube_items_init(struct kube_items *items)
{
    *items = (struct kube_items){.depth = 0};
}

void kube_items_fini(struct kube_items *items)
{
    buf_fini(&items->item);
    buf_fini(&items->shell);
}

enum err kube_json_parse(struct str text, json_t **out, struct error *error)
{
    json_error_t at;
    *out = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &at);
    if (*out != NULL) {
        return EA_OK;
    }
    return error_set_str(error, EA_PROTOCOL, "the API server's answer is not the JSON it should be",
                         str_of(at.text));
}

/* Keeps bytes where they belong; between two items they are commas and spaces, which nobody needs. */
static enum err keep(struct kube_items *items, const char *from, const char *to, struct error *error)
{
    size_t n = (size_t)(to - from);
    struct buf *buf = items->in_items ? &items->item : &items->shell;
    size_t most = items->in_items ? KUBE_ITEM_BYTES_MAX : KUBE_SHELL_BYTES_MAX;
    if (items->in_items && items->depth <= BETWEEN) {
        return EA_OK;
    }
    if (n > most - buf->n) {
        return error_set(error, EA_TOO_LARGE, "the API server's answer has %s of more than %zu bytes",
                         items->in_items ? "an object" : "a frame", most);
    }
    buf_add(buf, from, n);
    return EA_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum err broken(struct error *error)
{
    return error_set(error, EA_PROTOCOL, "the API server's answer is no list of objects");
}

/* Passes over a string; the byte behind it, or `end` if it does not end here. */
static const char *pass_string(struct kube_items *items, const char *at, const char *end)
{
    for (; at < end; at++) {
        if (items->escape) {
            items->escape = false;
        } else if (*at == '\\') {
            items->escape = true;
        } else if (*at == '"') {
            items->string = false;
            return at + 1;
        }
    }
    return end;
}

static enum err finish_item(struct kube_items *items, bool (*take)(void *arg, json_t *object), void *arg,
                            struct error *error)
{
    json_t *object;
    enum err err = kube_json_parse(buf_str(&items->item), &object, error);
    if (err == EA_OK) {
        items->n++;
        items->after_item = true;
        err = take(arg, object) ? EA_OK : error->code;
        json_decref(object);
    }
    buf_clear(&items->item);
    return err;
}

/* A bracket opens. Between items only an object may, and only behind a comma. */
static bool opens(struct kube_items *items, char bracket)
{
    if (items->depth == KUBE_DEPTH_MAX ||
        (items->in_items && items->depth == BETWEEN && (bracket != '{' || items->after_item))) {
        return false;
    }
    items->depth++;
    return true;
}

struct feed {
    const char *from; /* not kept yet */
    const char *at;
    const char *end;
};

static enum err feed_open(struct kube_items *items, struct feed *feed, struct error *error)
{
    bool list = *feed->at == '[' && items->depth == OUTERMOST && items->items_key;
    if (items->in_items && items->depth == BETWEEN) {
        feed->from = feed->at;
    }
    if (!opens(items, *feed->at)) {
        return broken(error);
    }
    feed->at++;
    if (!list) {
        return EA_OK;
    }
    enum err err = keep(items, feed->from, feed->at, error);
    feed->from = feed->at;
    items->in_items = true;
    items->after_item = false;
    return err;
}

static enum err feed_close(struct kube_items *items, struct feed *feed,
                           bool (*take)(void *arg, json_t *object), void *arg, struct error *error)
{
    enum err err = EA_OK;
    if (items->depth == 0) {
        return broken(error);
    }
    if (items->in_items && items->depth == BETWEEN) { /* of the list */
        items->in_items = false;
        feed->from = feed->at;
    }
    feed->at++;
    if (items->in_items && items->depth == BETWEEN + 1) { /* of an item */
        err = keep(items, feed->from, feed->at, error);
        feed->from = feed->at;
        if (err == EA_OK) {
            err = finish_item(items, take, arg, error);
        }
    }
    items->depth--;
    return err;
}

static enum err feed_quote(struct kube_items *items, struct feed *feed, struct error *error)
{
    enum err err = EA_OK;
    bool outermost = items->depth == OUTERMOST;
    if (!items->string) { /* it opens */
        if (items->in_items && items->depth == BETWEEN) {
            return broken(error);
        }
        if (outermost) {
            err = keep(items, feed->from, feed->at, error);
            feed->from = feed->at;
            items->string_at = items->shell.n;
        }
        items->string = true;
        feed->at++;
    }
    feed->at = pass_string(items, feed->at, feed->end);
    if (err == EA_OK && outermost && !items->string) {
        err = keep(items, feed->from, feed->at, error);
        feed->from = feed->at;
        struct str text = str_from(items->shell.p + items->string_at, items->shell.n - items->string_at);
        items->items_key = str_eq(text, STR("\"items\""));
    }
    return err;
}

enum err kube_items_feed(struct kube_items *items, struct str bytes, bool (*take)(void *arg, json_t *object),
                         void *arg, struct error *error)
{
    enum err err = EA_OK;
    assert(error != NULL);
    if (bytes.n == 0) { /* and perhaps no pointer either */
        return EA_OK;
    }
    struct feed feed = {bytes.p, bytes.p, bytes.p + bytes.n};
    while (err == EA_OK && feed.at < feed.end) {
        char c = *feed.at;
        if (items->string || c == '"') {
            err = feed_quote(items, &feed, error);
        } else if (c == '{' || c == '[') {
            err = feed_open(items, &feed, error);
        } else if (c == '}' || c == ']') {
            err = feed_close(items, &feed, take, arg, error);
        } else if (items->in_items && items->depth == BETWEEN && !is_blank(c)) {
            if (c != ',' || !items->after_item) {
                return broken(error);
            }
            items->after_item = false;
            feed.at++;
        } else {
            if (c == ',' && items->depth == OUTERMOST) {
                items->items_key = false;
            }
            feed.at++;
        }
    }
    return err == EA_OK ? keep(items, feed.from, feed.at, error) : err;
}

enum err kube_items_end(struct kube_items *items, json_t **shell, struct error *error)
{
    *shell = NULL;
    enum err err = items->depth == 0 ? kube_json_parse(buf_str(&items->shell), shell, error) : broken(error);
    if (err == EA_OK && !json_is_object(*shell)) {
        json_decref(*shell);
        *shell = NULL;
        err = broken(error);
    }
    return err;
}
