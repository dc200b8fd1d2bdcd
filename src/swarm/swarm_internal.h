/* What the parts of the swarm share beside the public face. */
#ifndef AGN_SWARM_INTERNAL_H
#define AGN_SWARM_INTERNAL_H

#include "agilenn/swarm.h"

/* Between two runs: waits until the server should have done with the one before, throwing away what still
 * comes. AGN_ERR_IO. */
int agn__swarm_pause(struct agn_swarm *swarm);

double agn__swarm_deadline_ms(const struct agn_swarm *swarm);

#endif
