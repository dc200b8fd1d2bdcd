/* Adding to the histograms that include/agilenn/server.h shows. */
#ifndef AGN_SERVER_HISTOGRAM_H
#define AGN_SERVER_HISTOGRAM_H

#include "agilenn/server.h"

void agn__histogram_add(struct agn_server_histogram *histogram, double seconds);

#endif
