/* What the files of gen_docs share. */
#ifndef EA_TOOLS_GEN_DOCS_H
#define EA_TOOLS_GEN_DOCS_H

#include "base/buf.h"
#include "base/error.h"

/* The title, and that the document is generated from `table`. */
void gen_docs_notice(struct buf *out, const char *title, const char *table);

/* docs/api.md, in gen_docs_api.c. */
enum err gen_docs_api(struct buf *out);

/* The flags of docs/man/elector.1 and the settings of docs/man/election-agent.yaml.5, in gen_docs_man.c. */
void gen_docs_man_elector(struct buf *out);
void gen_docs_man_settings(struct buf *out);

#endif
