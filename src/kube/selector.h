/* Label selectors (metav1.LabelSelector): as text for the API server, and matched here for the cache. Deciding code. */
#ifndef EA_KUBE_SELECTOR_H
#define EA_KUBE_SELECTOR_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

#define SELECTOR_TERMS_MAX 256

/*
 * "app=web,tier in (a,b),!old": adds it to *out, terminated (the terminator counts). EA_PROTOCOL for what is no selector, or one
 * that selects everything, which a Deployment may not have.
 */
enum err selector_text(const json_t *selector, struct buf *out, struct error *error) EA_MUST_CHECK;

/* Whether an object with these labels (NULL: none) is selected. `selector` has passed selector_text(). */
bool selector_matches(const json_t *selector, const json_t *labels);

#endif
