/* What the files of the client share. Internal to kube/. Loop thread. */
#ifndef EA_KUBE_INTERNAL_H
#define EA_KUBE_INTERNAL_H

#include <curl/curl.h>

#include "base/sm.h"
#include "kube/access.h"
#include "kube/kube.h"

struct kube_exec;

/* Who we are at the moment. */
struct kube_credential {
    struct buf bearer;      /* "Authorization: Bearer ...", terminated; empty: none */
    struct buf cert;        /* of a plugin; empty: the access's */
    struct buf key;         /* its key */
    bool known;             /* the plugin or the file has been asked */
    struct mono good_until; /* the plugin's answer; MONO_NEVER: until it is refused */
    int64_t file_mark[4];   /* of the token file when it was read: mtime (s, ns), size, inode */
    struct kube_exec *exec; /* the plugin runs */
};

/* The addresses of the host that is connected to; curl would make a thread to find them. */
struct kube_resolver {
    char *host; /* NULL: an address, nothing to resolve */
    uint16_t port;
    char *base;       /* begins every URL; its host is what curl asks for: ours, or the certificate's name */
    char *entry_name; /* that host */
    struct buf entry; /* CURLOPT_RESOLVE's text, terminated; empty: not known */
    struct mono good_until;
    uv_getaddrinfo_t request;
    bool busy;
};

struct kube {
    struct loop *loop;
    struct kube_access access;
    char **env; /* for the plugin; NULL without one */
    char *user_agent;
    CURLM *multi;
    CURL *spare;      /* an easy handle at rest */
    uv_timer_t timer; /* curl's own; it counts real time whatever the loop's clock is */
    struct kube_credential credential;
    struct kube_resolver resolver;
    struct kube_transfer *transfers;
    unsigned handles; /* that libuv still has */
    bool closing;
    struct loop_task end;
};

struct kube_transfer {
    struct kube *kube;
    struct kube_request *request;
    struct kube_transfer *next;
    struct kube_transfer **link; /* that points here */
    struct sm sm;
    CURL *easy; /* while RUNNING */
    struct curl_slist *headers;
    struct curl_slist *resolve;
    char *url;
    struct buf body;
    struct buf answer;
    struct loop_timer pause;
    struct loop_timer deadline;
    struct loop_task begin; /* so that nothing is answered inside kube_send() */
    unsigned attempts;
    bool refreshed; /* 401 was answered with a new credential once */
    char curl_error[CURL_ERROR_SIZE];
};

/* --- transfer.c --- */

enum { KUBE_WAITING, KUBE_RUNNING, KUBE_PAUSING, KUBE_OVER, KUBE_TRANSFER_STATES };
extern const struct sm_state kube_transfer_states[KUBE_TRANSFER_STATES];

/* curl is done with it. */
void kube_transfer_complete(struct kube_transfer *transfer, CURLcode code);

/* The credential or the address that some wait for is there; or it is not, and *error says why. */
void kube_transfers_go(struct kube *kube);
void kube_transfers_fail(struct kube *kube, const struct error *error);

/* --- easy.c: curl's options --- */

/* False: there is no memory, or curl does not know an option. */
bool kube_easy_set_up(struct kube_transfer *transfer);

/* --- credential.c --- */

/* EA_OK: known. EA_AGAIN: kube_transfers_go() or _fail() will be called. Else there is none. */
enum err kube_credential_get(struct kube *kube, struct error *error) EA_MUST_CHECK;
/* It was refused: the next get asks anew. */
void kube_credential_refused(struct kube *kube);
void kube_credential_fini(struct kube *kube);
/* The plugin's answer; internal to credential.c and exec.c. Deciding code; `now` is the wall clock. EA_PROTOCOL. */
struct kube_plugin_answer {
    struct buf token; /* empty: none */
    struct buf cert;
    struct buf key;
    int64_t left_us; /* until it expires; INT64_MAX: never */
};
enum err kube_plugin_read(struct str json, const char *api_version, struct wall now,
                          struct kube_plugin_answer *out, struct error *error) EA_MUST_CHECK;
void kube_plugin_answer_fini(struct kube_plugin_answer *answer);
void kube_credential_exec_done(struct kube *kube, enum err err, struct str output, const struct error *error);

/* --- exec.c --- */

/* Runs the plugin; kube_credential_exec_done() is called later, never inside. */
struct kube_exec *kube_exec_start(struct kube *kube);
void kube_exec_cancel(struct kube_exec *exec);

/* --- resolve.c --- */

/* From access, and the proxy from the environment if the access names none: what is to be connected to. EA_CONFIG. */
enum err kube_resolver_init(struct kube *kube, const struct kube_options *options,
                            struct error *error) EA_MUST_CHECK;
enum err kube_resolver_get(struct kube *kube,
                           struct error *error) EA_MUST_CHECK; /* as kube_credential_get() */
void kube_resolver_stale(struct kube *kube);                   /* no address answered */
void kube_resolver_fini(struct kube *kube);

/* --- proxy.c: deciding code --- */

/* The environment's proxy for this server, with its scheme; NULL: none. mem_free() it. `host` is without brackets. */
char *kube_proxy_from_env(const struct kube_options *options, struct str scheme, struct str host,
                          uint16_t port);

/* --- client.c --- */

/* A handle is closed: the last one ends the client. */
void kube_release(struct kube *kube);
void kube_handle_closed(
    uv_handle_t *handle); /* for handles whose data is the kube, and which are part of it */

/* --- answer.c: deciding code --- */

struct kube_verdict {
    enum err err;
    bool again; /* another try may help */
};
struct kube_verdict kube_judge(long status);

/* `error` and `reason` from an answer that is not 2xx. */
void kube_explain(struct kube_request *request, enum err err, long status, struct str body);

/* The pause before attempt n + 1, in us: Retry-After if it was given (s; 0: not), else 100 ms doubled each time, up
 * to 10 s, half of it by chance. */
int64_t kube_pause_us(unsigned attempts, int64_t retry_after_s, struct rng *rng);

/* RFC 3339 as in metav1.Time and MicroTime. False if it is none. */
bool kube_time_parse(struct str text, struct wall *out) EA_MUST_CHECK;
#define KUBE_TIME_BYTES 32
void kube_time_format(struct wall t, char out[KUBE_TIME_BYTES]); /* MicroTime */

#endif
