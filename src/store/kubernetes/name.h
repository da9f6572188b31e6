/*
 * How an election is named as a Lease, and back (docs/kubernetes.md, "Names"). Deciding code.
 *
 * A Lease's name is a DNS name: lower-case letters, digits, '-' and '.', 253 bytes at most. An election whose name
 * is one already, of the kind `default`, keeps it, so that it is the Lease an elector of that name takes part in.
 * All others are written so that no two elections share a Lease:
 *
 *   orders                 default, "orders"
 *   billing---orders       billing, "orders"
 *   orders--2feu           default, "orders/eu"     what a name may not have, as "--" and two hexadecimal digits
 *   0--4frders             default, "Orders"        a name must begin with a letter or a digit: "0" before the "--"
 *   sha256----9f86d0...    too long for any of these: a digest; two annotations have the kind and the name
 *
 * A name that is read counts only if the election that it means is written exactly so.
 */
#ifndef EA_STORE_KUBERNETES_NAME_H
#define EA_STORE_KUBERNETES_NAME_H

#include <stdbool.h>

#include "base/str.h"
#include "core/names.h"

#define LEASE_NAME_BYTES_MAX 253

#define LEASE_KIND_NOTE     "election-agent/kind"
#define LEASE_ELECTION_NOTE "election-agent/election"

struct lease_election {
    char kind[KIND_BYTES_MAX];
    char election[NAME_BYTES_MAX];
    size_t kind_bytes;
    size_t election_bytes;
};

/* False: a digest was needed, and the annotations must be set. */
bool lease_name_write(struct str kind, struct str election, char out[LEASE_NAME_BYTES_MAX + 1]);

/* The election of a Lease of this name and with these annotations (empty: none). False if it is none of ours. */
bool lease_name_read(struct str name, struct str kind_note, struct str election_note,
                     struct lease_election *out) __attribute__((warn_unused_result));

#endif
