/* The pages for probes, metrics and the API's description. */
#include "api/embedded.h"
#include "api/rest.h"
#include "api/services.h"

static bool contains(struct str text, struct str part)
{
    return text.n >= part.n && memmem(text.p, text.n, part.p, part.n) != NULL;
}

static void page_answer(struct exchange *ex, struct str type, struct str body)
{
    const struct http_field fields[] = {{STR("content-type"), type}};
    exchange_answer(ex, 200, fields, 1, body);
}

void page_livez(struct exchange *ex, struct api_lane *lane)
{
    page_answer(ex, REST_JSON_TYPE, STR("{\"status\":\"ok\"}"));
}

void page_readyz(struct exchange *ex, struct api_lane *lane)
{
    char why[API_WHY_BYTES];
    if (api_ready(lane->api, why)) {
        page_answer(ex, REST_JSON_TYPE, STR("{\"status\":\"ok\"}"));
    } else {
        rest_fail(ex, 503, str_of(why));
    }
}

void page_metrics(struct exchange *ex, struct api_lane *lane)
{
    const struct api_options *options = &lane->api->options;
    struct metrics_gauges gauges = {.arg = NULL};
    if (options->gather != NULL) {
        options->gather(options->user, &gauges);
    }
    bool openmetrics = contains(ex->header[HTTP_ACCEPT], STR("application/openmetrics-text"));
    struct buf text = BUF_EMPTY;
    metrics_render(options->metrics, &gauges, openmetrics, &text);
    page_answer(ex, openmetrics ? STR(METRICS_OPENMETRICS_TYPE) : STR(METRICS_TEXT_TYPE), buf_str(&text));
    buf_fini(&text);
}

void page_openapi(struct exchange *ex, struct api_lane *lane)
{
    page_answer(ex, STR("application/yaml"), str_from(embedded_openapi, embedded_openapi_bytes));
}
