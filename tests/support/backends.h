/* What tests of nets run on: every backend, and the CPU behind copies, which stands for those whose memory is
 * not the host's: it gives the CPU's bits to whoever keeps to the contract of borders. */
#ifndef AGN_TEST_BACKENDS_H
#define AGN_TEST_BACKENDS_H

#include "nn/backend.h"

/* NULL: there are no more. */
const struct agn__backend *test_backend(int index);

/* From now on the CPU behind copies loses what it should fetch, or no longer. */
void test_backend_lose(bool loses);

#endif
