/* Data sets from their publishers' servers. */
#ifndef AGILENN_FETCH_H
#define AGILENN_FETCH_H

#include "agilenn/base.h"

/* "cifar10", "cifar100", "svhn", "tiny-imagenet", "fashion-mnist", then NULL. The last is a Debian
 * package, and fetching it ends with a sentence that says so. */
extern const char *const agn_fetch_names[];

struct agn_fetch_config {
    const char *name;
    const char *folder;        /* where files go; made when missing */
    const char *base_url;      /* instead of the publisher's; NULL: the publisher's */
    int stall_s;               /* no byte for so long counts as a failure, >= 1 */
    int retries;               /* failures in a row, without a byte won, after which it gives up, >= 0 */
    int retry_wait_ms;         /* before the first retry; doubles with each in a row, up to 30 s */
    agn_progress_fn *progress; /* may be NULL */
    void *progress_user;
};

/* Downloads what is not there yet, checks it, unpacks archives; `result` becomes the folder for
 * agn_dataset_source.path. What was downloaded goes to FILE.part first and is resumed from there;
 * FILE.sha256 keeps the sum of the first complete download. A file that fails its sum is deleted.
 * Files take their names, and unpacked folders appear, only when complete.
 * AGN_ERR_TIMEOUT, _IO, _FORMAT (sum or archive), _NOT_FOUND, _BUSY (another fetch), _INTERRUPTED. */
int agn_fetch(const struct agn_fetch_config *config, char result[1024]);

#endif
