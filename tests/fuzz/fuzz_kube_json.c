/* What the API server and credential plugins say: lists in pieces, objects, selectors, Leases. The first byte chooses the
 * size of the pieces. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "kube/internal.h"
#include "kube/items.h"
#include "kube/lease.h"
#include "kube/selector.h"
#include "kube/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const json_t *object)
{
    struct error error = ERROR_NONE;
    struct kube_lease lease;
    struct kube_pod pod;
    struct buf text = BUF_EMPTY;
    if (kube_lease_decode(&lease, object, &error) == EA_OK) {
        struct kube_lease again;
        json_t *doc;
        kube_lease_encode(&lease, &text);
        /* What we write is what we read. */
        if (kube_json_parse(buf_str(&text), &doc, &error) != EA_OK ||
            kube_lease_decode(&again, doc, &error) != EA_OK || again.transitions != lease.transitions) {
            abort();
        }
        json_decref(doc);
        kube_lease_fini(&again);
        kube_lease_fini(&lease);
    }
    buf_clear(&text);
    for (enum workload what = 0; what < WORKLOADS; what++) {
        json_decref(workload_trim(what, object));
    }
    workload_read_pod(object, &pod);
    workload_read_replica_set(object, &pod);
    const json_t *selector = json_object_get(json_object_get(object, "spec"), "selector");
    if (selector_text(selector, &text, &error) == EA_OK) {
        (void)selector_matches(selector, json_object_get(json_object_get(object, "metadata"), "labels"));
    }
    buf_fini(&text);
}

static bool take(void *arg, json_t *object)
{
    look(object);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_NONE;
    struct kube_plugin_answer answer;
    struct kube_items items;
    json_t *doc = NULL;
    if (size == 0) {
        return 0;
    }
    size_t piece = 1 + data[0] % 64;
    struct str text = str_from(data + 1, size - 1);
    enum err err = EA_OK;
    kube_items_init(&items);
    for (size_t at = 0; at < text.n && err == EA_OK; at += piece) {
        size_t n = text.n - at;
        err = kube_items_feed(&items, str_from(text.p + at, n < piece ? n : piece), take, NULL, &error);
    }
    if (err == EA_OK && kube_items_end(&items, &doc, &error) == EA_OK) {
        look(doc);
        json_decref(doc);
    }
    kube_items_fini(&items);
    err = kube_plugin_read(text, "client.authentication.k8s.io/v1", (struct wall){0}, &answer, &error);
    if (err != EA_OK && err != EA_PROTOCOL) {
        abort();
    }
    kube_plugin_answer_fini(&answer);
    return 0;
}
