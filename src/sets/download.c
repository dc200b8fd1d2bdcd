/* One file over HTTP(S), with resumption and retries, through libcurl. Whether it is the right file is
 * checked by fetch.c. */
#define _XOPEN_SOURCE 700
#include "sets/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_S = 30, MAX_WAIT_MS = 30000 };

static const int64_t max_bytes = (int64_t)8 << 30; /* no data set here is near it */

struct transfer {
    const struct agn_fetch_config *config;
    const char *url, *part;
    CURL *curl;
    int descriptor;
    int64_t start, received;               /* bytes there before, bytes won by this attempt */
    double started_s, reported_s, moved_s; /* moved_s: when bytes came last */
    curl_off_t seen;                       /* bytes at moved_s */
    bool stalled;
    int write_error; /* errno of the disk, EFBIG for a file without end */
    char reason[CURL_ERROR_SIZE];
};

static size_t on_data(char *data, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;
    size_t total = size * count, done = 0;
    if (transfer->start + transfer->received + (int64_t)total > max_bytes) {
        transfer->write_error = EFBIG;
        return 0;
    }
    while (done < total) {
        ssize_t wrote = write(transfer->descriptor, data + done, total - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            transfer->write_error = errno;
            return 0;
        }
        done += (size_t)wrote;
        transfer->received += wrote;
    }
    return total;
}

static int on_progress(void *user, curl_off_t expected, curl_off_t now, curl_off_t up_expected,
                       curl_off_t up_now)
{
    struct transfer *transfer = user;
    (void)up_expected;
    (void)up_now;
    if (agn_interrupt_requested())
        return 1;
    double time = agn_now_s();
    if (now != transfer->seen) {
        transfer->seen = now;
        transfer->moved_s = time;
    }
    /* libcurl's own limit is on a mean over some seconds, so that a short one would come late. */
    transfer->stalled = time - transfer->moved_s >= transfer->config->stall_s;
    if (transfer->stalled)
        return 1;
    if (!transfer->config->progress || now == 0 || time - transfer->reported_s < 0.1)
        return 0;
    transfer->reported_s = time;
    double rate = (double)now / fmax(time - transfer->started_s, 1e-3);
    const char *slash = strrchr(transfer->part, '/');
    char phase[160];
    (void)snprintf(phase, sizeof phase, "%.80s  %.1f MiB  %.2f MiB/s", slash ? slash + 1 : transfer->part,
                   (double)(transfer->start + now) / 1048576.0, rate / 1048576.0);
    const struct agn_progress progress = {
        .phase = phase,
        .done = transfer->start + now,
        .total = expected > 0 ? transfer->start + expected : 0,
        .rate = NAN,
        .eta_s = expected > now ? (double)(expected - now) / rate : NAN,
    };
    transfer->config->progress(transfer->config->progress_user, &progress);
    return 0;
}

static void set_options(struct transfer *transfer)
{
    CURL *curl = transfer->curl;
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, transfer->url);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "agilenn");
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    (void)curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    (void)curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)transfer->start);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->reason);
}

/* One request from the end of the part file on. */
static CURLcode attempt(struct transfer *transfer)
{
    transfer->start = (int64_t)lseek(transfer->descriptor, 0, SEEK_END);
    transfer->received = 0;
    transfer->write_error = 0;
    transfer->reason[0] = '\0';
    transfer->started_s = transfer->moved_s = agn_now_s();
    transfer->seen = 0;
    transfer->stalled = false;
    if (transfer->start < 0) {
        transfer->write_error = errno;
        return CURLE_WRITE_ERROR;
    }
    set_options(transfer);
    CURLcode code = curl_easy_perform(transfer->curl);
    return code == CURLE_ABORTED_BY_CALLBACK && transfer->stalled ? CURLE_OPERATION_TIMEDOUT : code;
}

static int fail_local(const struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return agn_fail(AGN_ERR_INTERRUPTED, "interrupted while fetching %s; %s is kept, run again to go on",
                        transfer->url, transfer->part);
    if (transfer->write_error == EFBIG)
        return agn_fail(AGN_ERR_RANGE, "%s: larger than the %lld bytes that are fetched at most",
                        transfer->url, (long long)max_bytes);
    return agn_fail(AGN_ERR_IO, "cannot write %s: %s; free some space, or choose another folder",
                    transfer->part, strerror(transfer->write_error));
}

static int fail_remote(const struct transfer *transfer, CURLcode code, long http)
{
    const char *reason = transfer->stalled     ? "nothing came any more"
                         : transfer->reason[0] ? transfer->reason
                                               : curl_easy_strerror(code);
    long long there = (long long)(transfer->start + transfer->received);
    if (http == 404 || http == 410)
        return agn_fail(AGN_ERR_NOT_FOUND,
                        "%s: the server does not have it (HTTP %ld); try another address with "
                        "--url BASE",
                        transfer->url, http);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return agn_fail(AGN_ERR_TIMEOUT, "%s: no answer in time after %lld bytes (%s); run again to go on",
                        transfer->url, there, reason);
    return agn_fail(AGN_ERR_IO,
                    "%s: failed after %lld bytes (%s); check the network, then run again to go on",
                    transfer->url, there, reason);
}

/* What another attempt may mend: anything on the way, and servers in trouble. */
static bool worth_retrying(CURLcode code, long http)
{
    switch (code) {
    case CURLE_HTTP_RETURNED_ERROR:
        return http >= 500 || http == 408 || http == 429;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_OUT_OF_MEMORY:
        return false;
    default:
        return true;
    }
}

static void wait_before_retry(const struct agn_fetch_config *config, int failures)
{
    int64_t wait_ms = (int64_t)config->retry_wait_ms << (failures < 10 ? failures : 10);
    wait_ms = wait_ms < MAX_WAIT_MS ? wait_ms : MAX_WAIT_MS;
    for (; wait_ms > 0 && !agn_interrupt_requested(); wait_ms -= 50) {
        struct timespec pause = {0, (wait_ms < 50 ? (long)wait_ms : 50) * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

/* What is there is of no use: the server sends all from the start. */
static int start_over(struct transfer *transfer, bool *resumed)
{
    *resumed = false;
    if (ftruncate(transfer->descriptor, 0) != 0)
        return agn_fail(AGN_ERR_IO, "cannot write %s: %s", transfer->part, strerror(errno));
    return AGN_OK;
}

static int transfer_all(struct transfer *transfer, bool *resumed)
{
    for (int failures = 0, restarts = 0;;) {
        CURLcode code = attempt(transfer);
        *resumed = *resumed || transfer->start > 0;
        if (code == CURLE_OK)
            return AGN_OK;
        long http = 0;
        (void)curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http);
        if (code == CURLE_ABORTED_BY_CALLBACK || transfer->write_error != 0)
            return fail_local(transfer, code);
        /* No ranges here, or nothing left to send: then the sum decides whether the part is the whole. */
        bool refused = code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && http == 416);
        if (refused && transfer->start > 0 && restarts++ <= transfer->config->retries) {
            agn_log(AGN_LOG_INFO, "%s: cannot be resumed, starting over", transfer->url);
            int status = start_over(transfer, resumed);
            if (status < 0)
                return status;
            continue;
        }
        int status = fail_remote(transfer, code, http);
        failures = transfer->received > 0 ? 1 : failures + 1;
        if (!worth_retrying(code, http) || failures > transfer->config->retries)
            return status;
        agn_log(AGN_LOG_WARN, "%s; trying again", agn_error_message());
        wait_before_retry(transfer->config, failures - 1);
    }
}

int agn__download(const struct agn_fetch_config *config, const char *url, const char *part, bool *resumed)
{
    struct transfer transfer = {.config = config, .url = url, .part = part, .descriptor = -1};
    int status = AGN_OK;
    *resumed = false;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return agn_fail(AGN_ERR_ENGINE, "cannot start libcurl");
    transfer.curl = curl_easy_init();
    if (!transfer.curl) {
        status = agn_fail(AGN_ERR_MEMORY, "cannot start libcurl: out of memory");
        goto out;
    }
    transfer.descriptor = open(part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (transfer.descriptor < 0) {
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s; choose a folder that you may write to", part,
                          strerror(errno));
        goto out;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(transfer.descriptor, F_SETLK, &lock) != 0 && (errno == EACCES || errno == EAGAIN)) {
        status = agn_fail(AGN_ERR_BUSY, "%s: another process is fetching it", part);
        goto out;
    }
    status = transfer_all(&transfer, resumed);
    if (status == AGN_OK && fsync(transfer.descriptor) != 0)
        status = agn_fail(AGN_ERR_IO, "cannot write %s: %s", part, strerror(errno));
out:
    if (transfer.descriptor >= 0)
        (void)close(transfer.descriptor);
    curl_easy_cleanup(transfer.curl);
    curl_global_cleanup();
    return status;
}
