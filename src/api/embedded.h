/* What embed.py puts into the program at build time: our protos' descriptors, and the API description. */
#ifndef EA_API_EMBEDDED_H
#define EA_API_EMBEDDED_H

#include <stddef.h>

enum embedded_kind { SYMBOL_MESSAGE, SYMBOL_SERVICE, SYMBOL_OTHER };

struct embedded_symbol {
    const char *name; /* in full, without a leading dot */
    enum embedded_kind kind;
};

/* A .proto file. None imports another. */
struct embedded_file {
    const char *name;
    const unsigned char *bytes; /* a serialized FileDescriptorProto */
    size_t n;
    const struct embedded_symbol *symbols;
    size_t n_symbols;
};

extern const struct embedded_file embedded_files[];
extern const size_t embedded_n_files;

/* api/openapi.yaml */
extern const unsigned char embedded_openapi[];
extern const size_t embedded_openapi_bytes;

#endif
