#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kube/watch.h"

static void next_page(struct kube_list *list);

static void end(struct kube_list *list, enum err err)
{
    list->err = err;
    list->error.code = err;
    kube_items_fini(&list->items);
    mem_free(list->next);
    list->next = NULL;
    list->done(list);
}

static bool take_item(void *arg, json_t *object)
{
    struct kube_list *list = arg;
    if (++list->n_items > KUBE_LIST_ITEMS_MAX) {
        (void)error_set(&list->request.error, EA_TOO_LARGE, "%s: there are more than %d objects", list->what,
                        KUBE_LIST_ITEMS_MAX);
        return false;
    }
    if (!list->item(list, object)) {
        list->request.error = list->error;
        return false;
    }
    return true;
}

static bool take_bytes(struct kube_request *request, struct str bytes)
{
    struct kube_list *list = CONTAINER_OF(request, struct kube_list, request);
    list->n_bytes += bytes.n;
    if (list->n_bytes > KUBE_LIST_BYTES_MAX) {
        request->err = error_set(&request->error, EA_TOO_LARGE, "%s: there are more than %zu bytes",
                                 list->what, KUBE_LIST_BYTES_MAX);
        return false;
    }
    request->err = kube_items_feed(&list->items, bytes, take_item, list, &request->error);
    return request->err == EA_OK;
}

/* The frame around the items: the version, and whether there is more. */
static enum err read_frame(struct kube_list *list, bool *more)
{
    json_t *shell;
    enum err err = kube_items_end(&list->items, &shell, &list->error);
    if (err != EA_OK) {
        return err;
    }
    const json_t *meta = json_object_get(shell, "metadata");
    const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
    const char *next = json_string_value(json_object_get(meta, "continue"));
    if (version == NULL || strlen(version) >= sizeof list->version) {
        err = error_set(&list->error, EA_PROTOCOL, "%s: the list has no resourceVersion", list->what);
    } else {
        memcpy(list->version, version, strlen(version) + 1);
    }
    mem_free(list->next);
    *more = next != NULL && next[0] != '\0';
    list->next = NULL;
    if (*more) {
        list->next = mem_dup(next, strlen(next) + 1);
    }
    json_decref(shell);
    return err;
}

static void on_page(struct kube_request *request)
{
    struct kube_list *list = CONTAINER_OF(request, struct kube_list, request);
    bool more = false;
    list->status = request->status;
    if (request->err != EA_OK) {
        list->error = request->error;
        end(list, request->err);
        return;
    }
    enum err err = read_frame(list, &more);
    kube_items_fini(&list->items);
    kube_items_init(&list->items);
    if (err == EA_OK && more) {
        next_page(list);
    } else {
        end(list, err);
    }
}

static void next_page(struct kube_list *list)
{
    struct buf path = BUF_EMPTY;
    buf_format(&path, "%s?limit=%u", list->path, list->page_size != 0 ? list->page_size : KUBE_PAGE_SIZE);
    if (list->selector != NULL && list->selector[0] != '\0') {
        buf_add_str(&path, STR("&labelSelector="));
        kube_escape(&path, str_of(list->selector));
    }
    if (list->field != NULL && list->field[0] != '\0') {
        buf_add_str(&path, STR("&fieldSelector="));
        kube_escape(&path, str_of(list->field));
    }
    if (list->next != NULL) {
        buf_add_str(&path, STR("&continue="));
        kube_escape(&path, str_of(list->next));
    }
    list->request = (struct kube_request){
        .method = KUBE_GET,
        .what = list->what,
        .path = buf_str(&path),
        .deadline = list->deadline,
        .once = list->once,
        .take = take_bytes,
        .done = on_page,
    };
    kube_send(list->kube, &list->request);
    buf_fini(&path);
}

void kube_list_start(struct kube *kube, struct kube_list *list)
{
    assert(list->what != NULL && list->path != NULL && list->item != NULL && list->done != NULL);
    list->kube = kube;
    list->next = NULL;
    list->n_items = 0;
    list->n_bytes = 0;
    list->status = 0;
    list->error = ERROR_NONE;
    kube_items_init(&list->items);
    next_page(list);
}

void kube_list_cancel(struct kube_list *list)
{
    if (list->request.transfer != NULL) {
        kube_cancel(list->kube, &list->request);
        kube_items_fini(&list->items);
        mem_free(list->next);
        list->next = NULL;
    }
}
