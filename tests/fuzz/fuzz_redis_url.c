/* store/redis/url.c: no URL crashes it, and no password of a good one is shown. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/redis/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct redis_url url;
    struct error error = ERROR_NONE;
    char shown[400];
    struct str text = {(const char *)data, size};
    redis_url_show(text, shown, sizeof shown);
    if (redis_url_parse(&url, text, &error) == EA_OK) {
        if (url.n_servers == 0 || url.n_servers > REDIS_SERVERS_MAX ||
            (url.password != NULL && strstr(shown, ":***@") == NULL)) {
            abort();
        }
        redis_url_fini(&url);
    }
    return 0;
}
