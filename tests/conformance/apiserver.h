/*
 * The API server of the row "kubernetes": tests/kube/apiserver.py as a process of its own, over real HTTP. It lives as
 * long as the program; each bench has a namespace there that nobody has used. What can't be had (no python3) ends the
 * program: a row that can't be tested has failed.
 */
#ifndef EA_CONFORMANCE_APISERVER_H
#define EA_CONFORMANCE_APISERVER_H

#include "store/kubernetes_options.h"

struct apiserver;

struct apiserver *apiserver_start(void);
void apiserver_stop(struct apiserver *server);

/* What the store is told: a new namespace with each call; valid until the next. */
const struct kubernetes_options *apiserver_options(struct apiserver *server);

#endif
