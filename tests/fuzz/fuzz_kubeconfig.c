/* Kubeconfig files, one or (cut at the first zero byte) two that are merged. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kube/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size > 0 ? memchr(data, 0, size) : NULL;
    size_t n = cut != NULL ? (size_t)(cut - data) : size;
    struct kubeconfig_text texts[2] = {
        {str_from(data, n), "/one", "one"},
        {cut != NULL ? str_from(cut + 1, size - n - 1) : str_from("", 0), "/two", "two"},
    };
    struct kube_access access = {.server = NULL};
    struct error error = ERROR_NONE;
    enum err err = kubeconfig_read(&access, texts, cut != NULL ? 2 : 1, &error);
    if ((err == EA_OK) != (error.text[0] == '\0') || (err == EA_OK && access.server == NULL)) {
        abort();
    }
    kube_access_fini(&access);
    return 0;
}
