/*
 * A client of the Kubernetes API server: requests with deadlines, retries and bounded answers.
 *
 * It runs on one event loop and makes no threads: libcurl's multi interface works on the loop's sockets and timers,
 * host names are resolved by libuv. Everything is called on the loop's thread, callbacks too. On top of it:
 * kube/watch.h (lists in pages, watches), kube/lease.h (Lease objects), kube/pods.h (GetPods).
 *
 * A kube_request is the caller's memory from kube_send() until its `done` is called, exactly once, or until
 * kube_cancel(); `done` is never called inside kube_send().
 */
#ifndef EA_KUBE_KUBE_H
#define EA_KUBE_KUBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"
#include "net/loop.h"

struct kube;
struct kube_transfer;

/* Where a pod finds `token`, `ca.crt` and `namespace`; the variable names another place (a projected volume). */
#define KUBE_SERVICE_ACCOUNT          "/var/run/secrets/kubernetes.io/serviceaccount"
#define KUBE_SERVICE_ACCOUNT_VARIABLE "KUBERNETES_SERVICE_ACCOUNT_DIR"

/* Names of objects are DNS names, those of namespaces DNS labels. */
#define KUBE_NAME_BYTES_MAX      253
#define KUBE_NAMESPACE_BYTES_MAX 63

struct kube_options {
    struct loop *loop;
    const char *const
        *env;        /* NAME=value, ended by NULL; NULL: the process's own. Read during kube_open() only. */
    bool in_cluster; /* the pod's service account, if there is one, comes before the kubeconfig */
    bool no_kubeconfig;     /* the service account or nothing */
    const char *kubeconfig; /* NULL: $KUBECONFIG (a list is merged, first value wins), else ~/.kube/config */
    const char *user_agent; /* NULL: "election-agent" */
};

/*
 * Reads the configuration; connects to nothing yet. EA_NOT_ENABLED: there is no cluster configuration, and `error`
 * says where it was looked for. EA_CONFIG: there is one, and what is wrong with it.
 */
enum err kube_open(struct kube **out, const struct kube_options *options, struct error *error) EA_MUST_CHECK;

/* No request or watch may be left. The memory ends with the last handle, in one of the loop's next turns (which
 * loop_free() runs). */
void kube_close(struct kube *kube);

/* Of the pod or of the kubeconfig's context; "default" if neither says. */
const char *kube_namespace(const struct kube *kube);

/* "https://10.0.0.1:443", for people. */
const char *kube_server(const struct kube *kube);

/* That it runs on. */
struct loop *kube_loop(const struct kube *kube);

enum kube_method { KUBE_GET, KUBE_POST, KUBE_PUT, KUBE_PATCH, KUBE_DELETE };

#define KUBE_BODY_BYTES   ((size_t)4 * 1024 * 1024) /* default bound; an object has at most 1.5 MiB in etcd */
#define KUBE_REASON_BYTES 48
#define KUBE_PATCH_MERGE  "application/merge-patch+json"

struct kube_request {
    /* --- the question: set by the caller, zeroed before --- */
    enum kube_method method;
    const char *what; /* verb and resource, "list pods": begins every error; must outlive the request */
    struct str path;  /* with query, percent-encoded: "/api/v1/namespaces/x/pods?limit=500"; copied */
    struct str body;  /* JSON; copied */
    const char *content_type; /* of the body; NULL: application/json */
    size_t answer_bytes_max;  /* 0: KUBE_BODY_BYTES */
    struct mono deadline;     /* all attempts together; MONO_NEVER: none */
    bool once;                /* never tried again */
    /* Takes the body of a 2xx answer as it arrives, instead of `answer`; once with no bytes, when its head is there. Called inside the transfer: must not call
     * the client. False ends the request with `err` and `error` as set here. */
    bool (*take)(struct kube_request *request, struct str bytes);
    void (*done)(struct kube_request *request);
    void *user;

    /*
     * --- the answer ---
     *
     * EA_OK            2xx
     * EA_DENIED        403                 EA_UNAUTHENTICATED  401, also with a fresh credential
     * EA_NOT_FOUND     404                 EA_HELD             409: `reason` is AlreadyExists or Conflict
     * EA_INVALID       400, 405, 415, 422  EA_EXHAUSTED        429, until the deadline
     * EA_UNAVAILABLE   5xx, until the deadline; also 410 (`status` tells: list again) and other answers
     * EA_TIMEOUT       the deadline        EA_IO               no connection, or it broke
     * EA_TOO_LARGE     more than answer_bytes_max
     *
     * `error` is "<what>: " and the API server's own words (Status.message).
     */
    enum err err;
    int status;                     /* of HTTP; 0: none */
    char reason[KUBE_REASON_BYTES]; /* Status.reason; empty if none */
    struct error error;
    struct str answer; /* valid during `done` */
    /* A write was sent and its outcome is not known, at least in one attempt: it may have been done. Then 409
     * and 404 may be our own doing. */
    bool maybe_done;

    /* --- the client's --- */
    struct kube_transfer *transfer;
};

/*
 * Tries again on 429 and 5xx (Retry-After, else a growing jittered pause), on failed connections, and, for GET, on
 * broken ones, until the deadline.
 */
void kube_send(struct kube *kube, struct kube_request *request);

/* `done` is not called any more. Harmless if it was, or if the request was never sent. A write may have been done. */
void kube_cancel(struct kube *kube, struct kube_request *request);

/* Appends s as one path segment or query value. */
void kube_escape(struct buf *out, struct str s);

#endif
