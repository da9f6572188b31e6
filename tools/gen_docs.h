/* What the files of gen_docs share. */
#ifndef EA_TOOLS_GEN_DOCS_H
#define EA_TOOLS_GEN_DOCS_H

#include "base/buf.h"
#include "base/error.h"

/* The title, and that the document is generated from `table`. */
void gen_docs_notice(struct buf *out, const char *title, const char *table);

/* docs/api.md, in gen_docs_api.c. */
enum err gen_docs_api(struct buf *out);

#endif
